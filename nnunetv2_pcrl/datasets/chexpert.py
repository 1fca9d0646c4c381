"""CheXpert: JPEG images of the small and the full release, in all layouts, and its two tables."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunetv2_pcrl.datasets.conversion import Benchmark, SourceCase
from nnunetv2_pcrl.datasets.folds import patient_folds
from nnunetv2_pcrl.datasets.layouts import files_below, unwrapped_parts
from nnunetv2_pcrl.datasets.raw import NATURAL_READER, UNLABELLED, read_table
from nnunetv2_pcrl.datasets.xray_tables import (
    CLASSES,
    METADATA,
    header_of_classes,
    header_of_metadata,
    rarest_findings,
)

FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
# Columns of metadata.csv, and how the tables call them.
ABOUT = {"age_years": "Age", "sex": "Sex", "view": "Frontal/Lateral", "projection": "AP/PA"}
LAYOUTS = (
    "CheXpert-v1.0-small/train/patient00001/..., CheXpert-v1.0/train/patient00001/..., or the "
    'folders "CheXpert-v1.0 batch 1 (validate & csv)" to "... batch 4 (train 3)" side by side'
)
TRAIN, VALID = "train.csv", "valid.csv"
_ENDINGS = (".jpg", ".jpeg", ".png")
# -1 is uncertain, blank not mentioned; they are kept as published.
_VALUES = {"", "0", "0.0", "1", "1.0", "-1", "-1.0"}

# Patient, study and view, which name an image wherever it lies.
_Key = tuple[str, ...]


@dataclass
class _Found:
    """What the tables name, collected table by table."""

    columns: tuple[str, ...]
    cases: dict[str, SourceCase] = field(default_factory=dict)
    classes: list[Sequence[str]] = field(default_factory=list)
    metadata: list[Sequence[str]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)


def find_chexpert(source: Path) -> Benchmark:
    """Finds the images that the tables name.

    An image is found by its patient, study and view: the paths of the tables begin with the name
    of the published folder, and in the full release the training images lie in three folders
    without a train folder. Training cases are split into folds with patients apart.

    Raises:
        ValueError: if train.csv is missing or empty, or if no training image is found.
    """
    tables = {name: _tables(source, name) for name in (TRAIN, VALID)}
    if not tables[TRAIN]:
        raise ValueError(f"There is no {TRAIN} in {source}.")
    files, doubles = _images(source)
    entries = read_table(tables[TRAIN][0], "Path")
    found = _Found(_findings_of(entries[0], tables[TRAIN][0]), odd=doubles)
    _add(found, entries, files, is_test=False)
    if not found.cases:
        raise ValueError(
            f"None of the {len(entries)} training images of {TRAIN} is below {source}. Known "
            f"layouts are {LAYOUTS}: unpack at least one part with training images."
        )
    training = {identifier: row for identifier, *row in found.classes}
    if tables[VALID]:
        _add(found, read_table(tables[VALID][0], "Path"), files, is_test=True)
    else:
        found.missing[VALID] = "there is no such file, so no image is a test case"
    cases = list(found.cases.values())
    return Benchmark(
        "CheXpert",
        ("X-ray",),
        UNLABELLED,
        cases,
        223414,
        234,
        odd=found.odd | _unnamed(files, cases, found.odd),
        reader=NATURAL_READER,
        tables={
            CLASSES: [header_of_classes(found.columns), *found.classes],
            METADATA: [header_of_metadata((*ABOUT, "list")), *found.metadata],
        },
        missing=found.missing,
        known=[*tables[TRAIN], *tables[VALID]],
        folds=patient_folds(
            {identifier: row[0] for identifier, row in training.items()},
            rarest_findings({identifier: row[1:] for identifier, row in training.items()}),
        ),
    )


def _tables(source: Path, name: str) -> list[Path]:
    return [path for path in files_below(source, (".csv",)) if path.name == name]


def _add(
    found: _Found, entries: Sequence[Mapping[str, str]], files: Mapping[_Key, Path], is_test: bool
) -> None:
    """Adds the images of a table that are there, with what it says of them."""
    for entry in entries:
        key = _key(Path(entry["Path"].strip()))
        if key not in files:
            found.missing[entry["Path"]] = "there is no such file"
            continue
        row = [(entry.get(column) or "").strip() for column in found.columns]
        identifier = "_".join(key)
        if identifier in found.cases:
            found.odd[entry["Path"]] = "the tables name it twice, and its first row is used"
        elif unknown := sorted(set(row) - _VALUES):
            found.odd[str(files[key])] = f"a finding is {unknown[0]!r}, not 1, 0, -1 or blank"
        else:
            found.cases[identifier] = SourceCase(identifier, (files[key],), is_test=is_test)
            found.classes.append((identifier, key[0], *row))
            about = [entry.get(column) or "" for column in ABOUT.values()]
            found.metadata.append((identifier, key[0], *about, "valid" if is_test else "train"))


def _key(path: Path) -> _Key:
    """Patient, study and view of an image's path, without the ending."""
    *folders, name = unwrapped_parts(path)
    return (*folders[-2:], Path(name).stem)


def _images(source: Path) -> tuple[dict[_Key, Path], dict[str, str]]:
    """Files by patient, study and view, and what is odd about others."""
    files: dict[_Key, Path] = {}
    odd = {}
    for path in files_below(source, _ENDINGS):
        first = files.setdefault(_key(path.relative_to(source)), path)
        if first != path:
            odd[str(path)] = f"the same image as {first}"
    return files, odd


def _findings_of(entry: Mapping[str, str], table: Path) -> tuple[str, ...]:
    columns = tuple(finding for finding in FINDINGS if finding in entry)
    if not columns:
        raise ValueError(f"{table} has no column {FINDINGS[2]} or the like: download it anew.")
    return columns


def _unnamed(
    files: Mapping[_Key, Path], cases: Collection[SourceCase], odd: Collection[str]
) -> dict[str, str]:
    """Images that no table names."""
    named = {case.images[0] for case in cases}
    return {
        str(path): "no table names it"
        for path in files.values()
        if path not in named and str(path) not in odd and path.parent.name.startswith("study")
    }
