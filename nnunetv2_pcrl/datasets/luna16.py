"""LUNA16: chest CT in subset0 to subset9, SERIES_UID.mhd with SERIES_UID.raw, and its tables."""

import re
from collections.abc import Mapping
from pathlib import Path

from nnunetv2_pcrl.datasets.conversion import Benchmark, SourceCase
from nnunetv2_pcrl.datasets.layouts import files_below
from nnunetv2_pcrl.datasets.luna16_tables import TABLES, find_tables, rows_of
from nnunetv2_pcrl.datasets.raw import REORIENTING_READER, UNLABELLED

_UID = re.compile(r"[0-9.]+")
_SUBSET = re.compile(r"subset(\d+)")
# Names all scans, without a header.
SERIES = "seriesuids.csv"
_LUNG_MASKS = re.compile(r"seg|mask", re.IGNORECASE)


def find_luna16(source: Path) -> Benchmark:
    """Finds the scans below a folder, in their subset folders, in folders of their own or in one.

    Lung masks of the same names (seg-lungs-LUNA16) are not used. Some scans are stored with
    flipped axes, which their headers say: nnU-Net's reorienting reader brings them to one
    direction. Candidates and annotations become tables beside dataset.json. Where all scans lie in
    subset folders, the folds are the subsets, as in the challenge.
    """
    odd: dict[str, str] = {}
    scans: dict[str, Path] = {}
    known: list[Path] = []
    for path in files_below(source):
        folders = path.relative_to(source).parts[:-1]
        if any(_LUNG_MASKS.match(folder) for folder in folders):
            known += [path] if _UID.fullmatch(path.stem) else []
        elif path.name in (*TABLES, SERIES):
            known.append(path)
        elif path.suffix == ".mhd" and _UID.fullmatch(path.stem):
            first = scans.setdefault(path.stem, path)
            if first != path:
                odd[str(path)] = f"the same scan as {first}"
    subsets = {uid: _subset(path, source) for uid, path in scans.items()}
    found = find_tables(source)
    tables, missing = {}, dict[str, str]()
    for kind, path in found.items():
        try:
            tables[TABLES[kind].written], texts = rows_of(kind, path, scans)
        except ValueError as error:
            # Scans serve a pretraining without their tables.
            odd[str(path)] = f"it is left out: {error}"
        else:
            missing |= texts
    return Benchmark(
        "LUNA16",
        ("CT",),
        UNLABELLED,
        [SourceCase(uid, (path,)) for uid, path in scans.items()],
        888,
        0,
        odd=odd,
        reader=REORIENTING_READER,
        tables=tables,
        missing=missing,
        known=known,
        folds=_folds(subsets),
    )


def _subset(path: Path, source: Path) -> int | None:
    """Number of the subset folder that a scan lies in; None if it lies in none."""
    for folder in reversed((source.name, *path.relative_to(source).parts[:-1])):
        if match := _SUBSET.fullmatch(folder):
            return int(match[1])
    return None


def _folds(subsets: Mapping[str, int | None]) -> dict[str, int]:
    """The subsets as folds; none if a scan's is not known."""
    known = {uid: subset for uid, subset in subsets.items() if subset is not None}
    return known if len(known) == len(subsets) else {}
