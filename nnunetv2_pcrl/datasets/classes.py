"""classes.csv beside dataset.json: which case is of which class, and who the patient is."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.class_policies import BLANKS, MIXED_ONES, POLICIES
from nnunetv2_pcrl.datasets.raw import find_beside, write_table

CLASSES_FILE = "classes.csv"
# What is known of the cases besides, where a converter wrote it.
METADATA_FILE = "metadata.csv"
IDENTIFIER, PATIENT, LIST, CLASS = "identifier", "patient", "list", "class"
# Columns that describe a case and are no class, in lower case.
DESCRIPTIVE = frozenset(
    {"age", "sex", "view", "study", LIST, "subset", "frontal/lateral", "ap/pa", "follow-up"}
)
MULTILABEL, MULTICLASS = "multilabel", "multiclass"
_COLUMNS = (
    f'A table of classes has the columns "{IDENTIFIER}", optionally "{PATIENT}", and one per class '
    f'with 0 or 1, or one column "{CLASS}".'
)


@dataclass(frozen=True)
class ClassTable:
    """Classes of cases.

    Attributes:
        identifiers: of N cases.
        patients: one per case; the identifier where the table names no patient.
        lists: official list of every case, e.g. train_val or test; empty where it is not said.
        names: of K classes.
        kind: "multilabel" (each class is there or not) or "multiclass" (exactly one of them).
        targets: 0 or 1, NaN where unknown, shape [N, K]; one row of a multiclass table is one-hot
            or all NaN.
    """

    identifiers: tuple[str, ...]
    patients: tuple[str, ...]
    lists: tuple[str, ...]
    names: tuple[str, ...]
    kind: str
    targets: np.ndarray

    def __post_init__(self) -> None:
        """Refuses targets of another shape: they would be read as those of other cases."""
        shape = (len(self.identifiers), len(self.names))
        lengths = {len(self.identifiers), len(self.patients), len(self.lists)}
        if self.targets.shape != shape or len(lengths) > 1:
            raise ValueError(
                f"{len(self.identifiers)} cases, {len(self.patients)} patients, {len(self.lists)} "
                f"lists and {len(self.names)} classes do not fit targets of shape "
                f"{self.targets.shape}."
            )

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.identifiers)

    def of(self, identifiers: Sequence[str]) -> "ClassTable":
        """The rows of these cases, in this order.

        Raises:
            ValueError: if the table lacks some of them.
        """
        rows = {identifier: row for row, identifier in enumerate(self.identifiers)}
        missing = [identifier for identifier in identifiers if identifier not in rows]
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(identifiers)} cases are not in {CLASSES_FILE}, "
                f"{missing[0]} among them. Add their rows (blank where a class is unknown)."
            )
        chosen = [rows[identifier] for identifier in identifiers]
        return ClassTable(
            tuple(identifiers),
            tuple(self.patients[row] for row in chosen),
            tuple(self.lists[row] for row in chosen),
            self.names,
            self.kind,
            self.targets[chosen],
        )

    def known(self) -> "ClassTable":
        """The rows of the cases of which at least one class is known."""
        is_known = ~np.isnan(self.targets).all(axis=1)
        return self.of([i for i, known in zip(self.identifiers, is_known, strict=True) if known])


def find_classes(preprocessed: Path) -> Path:
    """The table of a data set, beside dataset.json: that of the preprocessed data comes first.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.

    Raises:
        ValueError: naming the places, if there is none.
    """
    try:
        return find_beside(preprocessed, CLASSES_FILE)
    except ValueError as error:
        raise ValueError(f"{error} {_COLUMNS}") from error


def read_classes(path: Path, policy: str = "ignore", blank: str = "unknown") -> ClassTable:
    """Reads a table of classes.

    Its columns are `identifier`, optionally `patient`, and either one per class with 1, 0, -1
    (uncertain) or blank, or a single one named `class` with a word. A column `list`, or one of
    metadata.csv beside it, names the official list of a case. Other columns of `DESCRIPTIVE` are
    passed over.

    Args:
        path: the CSV file.
        policy: what is made of -1: "ignore" (unknown), "zeros", "ones", or "mixed" (ones for
            Atelectasis and Edema, zeros for all others).
        blank: what is made of an empty field: "unknown", or "zeros" for tables that say only what
            was mentioned.

    Raises:
        ValueError: naming the row, if the table is not as above.
    """
    for value, known, name in ((policy, POLICIES, "policy"), (blank, BLANKS, "blank")):
        if value not in known:
            raise ValueError(f"{name} is {value!r}; it can be {', '.join(known)}.")
    header, rows = _rows(path)
    columns = [name for name in header if name not in (IDENTIFIER, PATIENT)]
    columns = [name for name in columns if name.lower() not in DESCRIPTIVE]
    identifiers = tuple(row[IDENTIFIER].strip() for row in rows)
    _check_identifiers(path, identifiers)
    patients = tuple(
        row.get(PATIENT, "").strip() or identifier
        for row, identifier in zip(rows, identifiers, strict=True)
    )
    named = {row[IDENTIFIER].strip(): row[LIST].strip() for row in rows if LIST in row}
    lists = tuple((named or _lists_of_metadata(path)).get(case, "") for case in identifiers)
    if CLASS in columns:
        if len(columns) > 1:
            raise ValueError(
                f'{path} has the column "{CLASS}" and more, {columns[:3]}. Use one column '
                f'"{CLASS}", or one column per class.'
            )
        names, targets = _one_hot(path, [row[CLASS].strip() for row in rows])
        return ClassTable(identifiers, patients, lists, names, MULTICLASS, targets)
    if not columns:
        raise ValueError(
            f"{path} has no column of a class, only {list(header)}. Add one column per class, "
            f'or one column "{CLASS}".'
        )
    targets = np.empty((len(rows), len(columns)))
    for place, name in enumerate(columns):
        uncertain = {"ignore": np.nan, "zeros": 0.0, "ones": 1.0}.get(policy)
        if uncertain is None:
            uncertain = float(name in MIXED_ONES)
        meaning = {0.0: 0.0, 1.0: 1.0, -1.0: uncertain}
        for number, row in enumerate(rows):
            targets[number, place] = _target(path, number, name, row[name], meaning, blank)
    return ClassTable(identifiers, patients, lists, tuple(columns), MULTILABEL, targets)


def write_classes(path: Path, table: ClassTable) -> None:
    """Writes a table of classes that `read_classes` gives back, unknown as blank."""
    lines: list[tuple] = []
    for identifier, patient, listed, targets in zip(
        table.identifiers, table.patients, table.lists, table.targets, strict=True
    ):
        if table.kind == MULTICLASS:
            is_known = not np.isnan(targets).any()
            values: list[str | int] = [table.names[int(targets.argmax())] if is_known else ""]
        else:
            values = ["" if np.isnan(value) else int(value) for value in targets]
        lines.append((identifier, patient, listed, *values))
    columns = (CLASS,) if table.kind == MULTICLASS else table.names
    write_table(path, [(IDENTIFIER, PATIENT, LIST, *columns), *lines])


def _rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    if not path.is_file():
        raise ValueError(f"There is no {path}. {_COLUMNS}")
    # Tables saved by spreadsheets begin with a mark of their encoding.
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file) if line]
    header = [name.strip() for name in lines[0]] if lines else []
    doubles = sorted({name for name in header if header.count(name) > 1})
    if IDENTIFIER not in header or doubles or len(lines) < 2:
        odd = f"more than one column {doubles}" if doubles else f"columns {header}"
        raise ValueError(
            f"{path} has {max(len(lines) - 1, 0)} rows and {odd}; it needs rows and one column "
            f'"{IDENTIFIER}", separated by commas.'
        )
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise ValueError(
                f"Line {number} of {path} has {len(line)} fields and the header has "
                f"{len(header)}. Names with commas need quotes."
            )
    return header, [dict(zip(header, line, strict=True)) for line in lines[1:]]


def _lists_of_metadata(path: Path) -> dict[str, str]:
    """The official list of every case, from the table of other facts; empty if it has none."""
    metadata = path.with_name(METADATA_FILE)
    if not metadata.is_file():
        return {}
    with open(metadata, newline="", encoding="utf-8-sig") as file:
        return {
            row[IDENTIFIER]: row[LIST]
            for row in csv.DictReader(file)
            if row.get(IDENTIFIER) and row.get(LIST)
        }


def _check_identifiers(path: Path, identifiers: Sequence[str]) -> None:
    seen: set[str] = set()
    for number, identifier in enumerate(identifiers, start=2):
        if not identifier or identifier in seen:
            what = f"{identifier} a second time" if identifier else "no identifier"
            raise ValueError(f"Line {number} of {path} has {what}. Each case has one line.")
        seen.add(identifier)


def _target(
    path: Path, number: int, name: str, text: str, meaning: dict[float, float], blank: str
) -> float:
    text = text.strip()
    if not text:
        return 0.0 if blank == "zeros" else np.nan
    try:
        return meaning[float(text)]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f'Line {number + 2} of {path} has {text!r} as "{name}"; a class is 0, 1, -1 or '
            f"blank. Leave out columns that are no class, or name them as one of "
            f"{', '.join(sorted(DESCRIPTIVE))}."
        ) from error


def _one_hot(path: Path, words: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    names = tuple(sorted({word for word in words if word}, key=_natural))
    if len(names) < 2:
        raise ValueError(
            f'{path} has {len(names)} different words in the column "{CLASS}"; a classification '
            f"needs two."
        )
    targets = np.zeros((len(words), len(names)))
    for row, word in enumerate(words):
        if word:
            targets[row, names.index(word)] = 1
        else:
            targets[row] = np.nan
    return names, targets


def _natural(word: str) -> tuple:
    """Numbers before words, and in their order."""
    try:
        return (0, float(word), word)
    except ValueError:
        return (1, 0.0, word)
