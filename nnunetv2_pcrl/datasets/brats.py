"""BraTS 2018, 2020, 2021 and 2023 (adult glioma): published folders and file names."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.datasets.conversion import Benchmark, SourceCase
from nnunetv2_pcrl.datasets.layouts import scan_at

CHANNELS = ("T1", "T1ce", "T2", "FLAIR")
# Regions nest if oedema is 1, the non-enhancing core 2 and the enhancing tumour 3.
LABELS = {
    "background": 0,
    "whole tumor": [1, 2, 3],
    "tumor core": [2, 3],
    "enhancing tumor": [3],
}
GRADES = "grades.csv"
_TEST_FOLDER = re.compile(r"valid|(?<![a-z])test", re.IGNORECASE)


@dataclass(frozen=True)
class Release:
    """A year's data set.

    Attributes:
        title: its name.
        folder: pattern of a case's folder.
        suffixes: what follows the case's name in the file names, in the order of CHANNELS.
        label_suffix: the same for the label.
        label_values: published value to value in nnU-Net.
        num_training, num_test: published counts; test cases are those of the validation phase.
    """

    title: str
    folder: str
    suffixes: tuple[str, ...]
    label_suffix: str
    label_values: Mapping[int, int]
    num_training: int
    num_test: int


_OLD = ("_t1", "_t1ce", "_t2", "_flair")
_OLD_VALUES = {0: 0, 1: 2, 2: 1, 4: 3}
_NEW = ("-t1n", "-t1c", "-t2w", "-t2f")
_NEW_VALUES = {0: 0, 1: 2, 2: 1, 3: 3}
_CASE_2020 = r"BraTS20_(Training|Validation)_\d{3}"
RELEASES = {
    "2018": Release("BraTS 2018", r"Brats18_\w+", _OLD, "_seg", _OLD_VALUES, 285, 66),
    "2020": Release("BraTS 2020", _CASE_2020, _OLD, "_seg", _OLD_VALUES, 369, 125),
    "2021": Release("BraTS 2021", r"BraTS2021_\d{5}", _OLD, "_seg", _OLD_VALUES, 1251, 219),
    "2023": Release(
        "BraTS 2023 GLI", r"BraTS-GLI-\d{5}-\d{3}", _NEW, "-seg", _NEW_VALUES, 1251, 219
    ),
}


def find_brats(source: Path) -> Benchmark:
    """Finds the cases of one release below a folder.

    Raises:
        ValueError: if there are none, or those of several releases.
    """
    # Archives made on a Mac hold a second tree of hidden files.
    folders = sorted(p for p in source.rglob("*") if p.is_dir() and "__MACOSX" not in p.parts)
    by_release = {
        year: [
            p for p in folders if re.fullmatch(release.folder, p.name) and not (p / p.name).is_dir()
        ]
        for year, release in RELEASES.items()
    }
    years = [year for year, found in by_release.items() if found]
    if len(years) != 1:
        raise ValueError(
            f"{source} must hold the case folders of one release of BraTS (2018, 2020, 2021 or "
            f"2023), found {' and '.join(years) or 'none'}."
        )
    release = RELEASES[years[0]]
    cases, odd, grades = [], {}, {}
    for folder in by_release[years[0]]:
        try:
            cases.append(_case(folder, source, release))
        except ValueError as error:
            odd[str(folder)] = str(error)
        if folder.parent.name in ("HGG", "LGG"):
            grades[folder.name] = folder.parent.name
    grades |= _grades_of_tables(source)
    tables = {GRADES: [("identifier", "grade"), *sorted(grades.items())]} if grades else {}
    return Benchmark(
        release.title,
        CHANNELS,
        LABELS,
        cases,
        release.num_training,
        release.num_test,
        release.label_values,
        odd,
        size=(240, 240, 155),
        tables=tables,
        known=sorted(source.rglob("*.csv")),
    )


def _case(folder: Path, source: Path, release: Release) -> SourceCase:
    name = folder.name
    found = {suffix: _file(folder, f"{name}{suffix}") for suffix in release.suffixes}
    images = [image for image in found.values() if image is not None]
    missing = [suffix for suffix, image in found.items() if image is None]
    if missing:
        raise ValueError(f"it has no {', '.join(f'{name}{suffix}.nii.gz' for suffix in missing)}")
    label, remark = _file(folder, f"{name}{release.label_suffix}"), ""
    if label is None:
        # BraTS20_Training_355 holds its label under a hospital's name.
        others = [p for p in sorted(folder.glob("*.nii*")) if "seg" in p.name.lower()]
        if len(others) == 1:
            label, remark = others[0], f"label found as {others[0].name}"
    parts = (source.name, *folder.relative_to(source).parts)
    is_test = label is None and any(_TEST_FOLDER.search(part) for part in parts)
    if label is None and not is_test:
        raise ValueError(f"it has no {name}{release.label_suffix}.nii.gz")
    return SourceCase(name, tuple(images), label, is_test, remark)


def _file(folder: Path, stem: str) -> Path | None:
    """STEM.nii.gz or STEM.nii (in mirrors of the published sets), or in a folder of that name."""
    scans = (scan_at(folder / f"{stem}{ending}") for ending in (".nii.gz", ".nii", ""))
    return next((scan for scan in scans if scan is not None), None)


def _grades_of_tables(source: Path) -> dict[str, str]:
    """Grade per case of 2020's name_mapping.csv."""
    grades = {}
    for path in sorted(source.rglob("name_mapping*.csv")):
        with open(path, newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if row.get("Grade") and row.get("BraTS_2020_subject_ID"):
                    grades[row["BraTS_2020_subject_ID"]] = row["Grade"]
    return grades
