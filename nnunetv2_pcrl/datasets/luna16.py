"""LUNA16: chest CT in subset0 to subset9, SERIES_UID.mhd with SERIES_UID.raw, no labels used."""

import re
from pathlib import Path

from nnunetv2_pcrl.datasets.conversion import Benchmark, SourceCase
from nnunetv2_pcrl.datasets.raw import REORIENTING_READER, UNLABELLED

_UID = re.compile(r"[0-9.]+")


def find_luna16(source: Path) -> Benchmark:
    """Finds the scans below a folder. Lung masks of the same names (seg-lungs-LUNA16) are not used.

    Some scans are stored with flipped axes, which their headers say: nnU-Net's reorienting reader
    brings them to one direction.
    """
    cases, odd, seen = [], {}, {}
    for path in sorted(source.rglob("*.mhd")):
        if not path.parent.name.startswith("subset") or not _UID.fullmatch(path.stem):
            continue
        if path.stem in seen:
            odd[str(path)] = f"the same scan as {seen[path.stem]}"
            continue
        seen[path.stem] = path
        cases.append(SourceCase(path.stem, (path,)))
    return Benchmark(
        "LUNA16", ("CT",), UNLABELLED, cases, 888, 0, odd=odd, reader=REORIENTING_READER
    )
