"""The published tables and lists of ChestX-ray14, in all spellings of their copies."""

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.datasets.raw import read_table
from nnunetv2_pcrl.datasets.xray_tables import IDENTIFIER, some_of

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
NO_FINDING = "No Finding"
# Other spellings: of the list of boxes, and of copies.
SYNONYMS = {"Infiltrate": "Infiltration", "Pleural Thickening": "Pleural_Thickening"}
METADATA_COLUMNS = ("age_years", "sex", "view", "follow_up")
# Columns of the table; the box server's newer copy says sex.
_SEX = ("Patient Sex", "Patient Gender")
_NAME = re.compile(r"(\d{8})_\d{3}\.png")
# 58, 58.0, 058Y; infants have months or days: 009M, 013D.
_AGE = re.compile(r"(\d+)(?:\.0*)?\s*([YMD]?)", re.IGNORECASE)
_YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "D": 1 / 365.25}


@dataclass(frozen=True)
class Entry:
    """What the table says of an image.

    Attributes:
        patient: eight digits.
        findings: 0 or 1 for each of FINDINGS; blank if the table is silent.
        metadata: in the order of METADATA_COLUMNS; blank where unknown.
    """

    patient: str
    findings: tuple[int | str, ...]
    metadata: tuple[str, ...]


def read_entries(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Reads Data_Entry_2017.csv, or its version of 2020.

    The names of its last columns hold commas without quotes (OriginalImage[Width,Height]), and
    copies end every line with a comma; columns are found by their names before those.

    Returns:
        Entries per image name (with ending), and images that cannot be used with reasons.

    Raises:
        ValueError: if the table is empty or lacks a column.
    """
    rows = read_table(path, "Image Index")
    if "Finding Labels" not in rows[0]:
        raise ValueError(f'{path} has no column "Finding Labels": download it anew.')
    entries, odd, odd_ages = {}, {}, []
    for row in rows:
        name = (row["Image Index"] or "").strip()
        if name in entries:
            odd[name] = "the table names it twice, and its first row is used"
            continue
        try:
            findings = _findings(row["Finding Labels"] or "")
        except ValueError as error:
            odd[name] = str(error)
            continue
        age = years_of(row.get("Patient Age") or "")
        if age is None:
            odd_ages.append(f"{row['Patient Age']!r} of {name}")
        sex = next((row[column] for column in _SEX if row.get(column)), "")
        others = (sex, row.get("View Position") or "", row.get("Follow-up #") or "")
        metadata = ("" if age is None else age, *(text.strip() for text in others))
        entries[name] = Entry(_patient(name, row.get("Patient ID") or ""), findings, metadata)
    if odd_ages:
        odd[f"{path.name}, ages"] = f"{len(odd_ages)} cannot be read: {some_of(odd_ages)}"
    return entries, odd


def years_of(text: str) -> str | None:
    """An age in years, however a copy spells it: 58, 58.0, 058Y, 009M; None if it is no age.

    Blank stays blank.
    """
    text = text.strip()
    match = _AGE.fullmatch(text)
    if match is None:
        return None if text else ""
    return f"{int(match[1]) * _YEARS[match[2].upper()]:.4g}"


def _findings(text: str) -> tuple[int | str, ...]:
    """0 or 1 per finding.

    Raises:
        ValueError: if there are findings of other names: as 0 they would be lost in silence.
    """
    found = {SYNONYMS.get(part.strip(), part.strip()) for part in text.split("|")} - {""}
    if not found:
        return ("",) * len(FINDINGS)
    unknown = sorted(found - {NO_FINDING} - set(FINDINGS))
    if unknown:
        raise ValueError(f"its findings {', '.join(unknown)} are none of the fourteen")
    return tuple(int(finding in found) for finding in FINDINGS)


def _patient(name: str, patient: str) -> str:
    """The first part of the file's name, which copies do not respell as they do the column."""
    match = _NAME.fullmatch(name)
    return match[1] if match else patient.strip() or name


def read_list(path: Path) -> set[str]:
    """Image names of train_val_list.txt or test_list.txt, of which the last may end the file."""
    lines = path.read_text(encoding="utf-8-sig").split()
    return {line.replace("\\", "/").rsplit("/", 1)[-1] for line in lines}


def read_boxes(path: Path, images: Collection[str]) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """Reads BBox_List_2017.csv: boxes of findings in pixels, x and y of the upper left corner.

    Its header has nine fields for six values, as the name "Bbox [x,y,w,h]" is not quoted.

    Args:
        path: of the list.
        images: those to keep the boxes of.

    Returns:
        Rows of boxes.csv with their header, and what cannot be used with reasons.
    """
    rows: list[tuple[str, ...]] = [(IDENTIFIER, "finding", "x", "y", "width", "height")]
    odd = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, line in enumerate(csv.reader(file), start=1):
            if number == 1 or not any(line):
                continue
            box = _box(line)
            if box is None:
                odd[f"{path.name}, line {number}"] = f"it is no box of a finding: {','.join(line)}"
            elif box[0] in images:
                rows.append((box[0][:-4], *box[1:]))
    return rows, odd


def _box(line: list[str]) -> tuple[str, ...] | None:
    """Image, finding, x, y, width and height; None if the line is none of a box."""
    if len(line) < 6:
        return None
    name, finding, *box = (text.strip() for text in line[:6])
    finding = SYNONYMS.get(finding, finding)
    try:
        is_box = min(float(value) for value in box) >= 0
    except ValueError:
        return None
    return (name, finding, *box) if is_box and finding in FINDINGS else None
