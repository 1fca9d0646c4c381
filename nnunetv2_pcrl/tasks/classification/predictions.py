"""Predictions as a table: the identifier of a case and one probability per class."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.classes import IDENTIFIER, MULTICLASS, ClassTable
from nnunetv2_pcrl.datasets.raw import write_table

PREDICTIONS_NAME = "predictions.csv"


@dataclass(frozen=True)
class Predictions:
    """Probabilities of cases.

    Attributes:
        identifiers: of N cases.
        names: of K classes.
        values: in [0, 1], shape [N, K].
    """

    identifiers: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray

    @classmethod
    def of_cases(cls, names: tuple[str, ...], by_case: Mapping[str, np.ndarray]) -> "Predictions":
        """From probabilities [K] by case."""
        values = np.array(list(by_case.values())).reshape(len(by_case), len(names))
        return cls(tuple(by_case), names, values)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Writes the table, with six digits."""
    rows = (
        (case, *(f"{value:.6g}" for value in values))
        for case, values in zip(predictions.identifiers, predictions.values, strict=True)
    )
    write_table(path, [(IDENTIFIER, *predictions.names), *rows])


def read_predictions(path: Path) -> Predictions:
    """Reads a table of predictions.

    Raises:
        ValueError: naming the line, if it is no such table.
    """
    if not path.is_file():
        raise ValueError(f"There is no {path}: make it with nnUNetv2_pcrl_predict_classes.")
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file) if line]
    if len(lines) < 2 or lines[0][0] != IDENTIFIER or len(lines[0]) < 2:
        raise ValueError(
            f'{path} is no table of predictions: its first column must be "{IDENTIFIER}", and one '
            f"column per class must follow."
        )
    names = tuple(lines[0][1:])
    values = np.empty((len(lines) - 1, len(names)))
    for number, line in enumerate(lines[1:]):
        try:
            # An array, because a single number would be taken for all classes.
            values[number] = np.array([float(text) for text in line[1:]]).reshape(len(names))
        except ValueError as error:
            raise ValueError(
                f"Line {number + 2} of {path} has not {len(names)} numbers: {line}."
            ) from error
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{path} holds numbers outside of 0 to 1: they are no probabilities.")
    identifiers = tuple(line[0] for line in lines[1:])
    if len(set(identifiers)) < len(identifiers):
        twice = max(identifiers, key=identifiers.count)
        raise ValueError(f"{path} has {twice} more than once; each case has one line.")
    return Predictions(identifiers, names, values)


def truth_of(predictions: Predictions, table: ClassTable) -> tuple[ClassTable, np.ndarray]:
    """The predicted cases that the table knows, with their classes in the order of the predictions.

    A class that the table does not have is unknown in all cases, or in a table of one class per
    case absent in all.

    Returns:
        The truth of N cases, and their probabilities, shape [N, K].

    Raises:
        ValueError: if no case is in both, or if the table has classes that were not predicted.
    """
    more = sorted(set(table.names) - set(predictions.names))
    if more:
        raise ValueError(
            f"The classes {more} were not predicted; predictions have {list(predictions.names)}. "
            f"Give the table of the same classes."
        )
    known = set(table.known().identifiers)
    rows = [row for row, case in enumerate(predictions.identifiers) if case in known]
    if not rows:
        raise ValueError(
            f"None of the {len(predictions.identifiers)} predicted cases has a known class in the "
            f"table; the first are {list(predictions.identifiers[:3])} there and "
            f"{list(table.identifiers[:3])} here."
        )
    chosen = table.of([predictions.identifiers[row] for row in rows])
    targets = np.full((len(rows), len(predictions.names)), np.nan)
    if table.kind == MULTICLASS:
        targets[~np.isnan(chosen.targets).any(axis=1)] = 0
    for place, name in enumerate(table.names):
        targets[:, predictions.names.index(name)] = chosen.targets[:, place]
    truth = ClassTable(
        chosen.identifiers, chosen.patients, chosen.lists, predictions.names, table.kind, targets
    )
    return truth, predictions.values[rows]
