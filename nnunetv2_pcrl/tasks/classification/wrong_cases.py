"""The most wrong cases of every class, and a figure of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.classification.pictures import Pictures

# Of each kind, per class.
MOST = 3
# Inches.
CELL, TITLE, LABEL, HEAD, GAP = 1.9, 0.42, 1.5, 0.45, 0.25
_MOST_LETTERS = 26


@dataclass(frozen=True)
class WrongCase:
    """One case and how sure the prediction was.

    Attributes:
        identifier: of the case.
        probability: that was predicted for the class.
        is_positive: whether the case is of the class.
    """

    identifier: str
    probability: float
    is_positive: bool


def most_wrong(table: ClassTable, predicted: np.ndarray) -> dict[str, list[WrongCase]]:
    """By class: negative cases with the highest probability, then positive ones with the lowest.

    Only those on the wrong side of one half are wrong; for a rare class that may be none, and then
    the order alone counts.

    Args:
        table: the truth.
        predicted: probabilities, shape [N, K].
    """
    return {
        name: [
            *_ordered(table, predicted[:, place], place, is_positive=False),
            *_ordered(table, predicted[:, place], place, is_positive=True),
        ]
        for place, name in enumerate(table.names)
    }


def _ordered(
    table: ClassTable, values: np.ndarray, place: int, is_positive: bool
) -> list[WrongCase]:
    rows = np.flatnonzero(table.targets[:, place] == is_positive)
    order = np.argsort(values[rows] if is_positive else -values[rows], kind="stable")
    return [
        WrongCase(table.identifiers[row], float(values[row]), is_positive)
        for row in rows[order[:MOST]]
    ]


def draw_most_wrong(wrong: Mapping[str, Sequence[WrongCase]], pictures: Pictures) -> Figure | None:
    """One row per class; None if there is a picture of no case.

    Args:
        wrong: cases by class.
        pictures: of the cases.
    """
    identifiers = dict.fromkeys(case.identifier for cases in wrong.values() for case in cases)
    found = {identifier: pictures.of(identifier) for identifier in identifiers}
    shown = {name: cases for name, cases in wrong.items() if cases}
    if all(picture is None for picture in found.values()):
        return None
    width = LABEL + 2 * MOST * CELL + GAP
    height = HEAD + len(shown) * (CELL + TITLE)
    figure = Figure(figsize=(width, height), facecolor="white")
    for number, text in enumerate(("highest without the class", "lowest with the class")):
        left = (LABEL + number * (MOST * CELL + GAP)) / width
        figure.text(left, 1 - 0.28 / height, text, fontsize=11, fontweight="bold", va="center")
    for row, (name, cases) in enumerate(shown.items()):
        top = height - HEAD - row * (CELL + TITLE)
        figure.text(0.1 / width, (top - TITLE - CELL / 2) / height, name, fontsize=10, va="center")
        placed = {False: 0, True: 0}
        for case in cases:
            column = placed[case.is_positive] + MOST * case.is_positive
            placed[case.is_positive] += 1
            left = LABEL + column * CELL + GAP * case.is_positive
            area = (left, top - TITLE - CELL, 0.94 * CELL, 0.98 * CELL)
            ax = figure.add_axes(
                (area[0] / width, area[1] / height, area[2] / width, area[3] / height)
            )
            ax.axis("off")
            ax.set_title(f"{case.probability:.3f}\n{_short(case.identifier)}", fontsize=7.5, pad=2)
            picture = found[case.identifier]
            if picture is None:
                ax.text(0.5, 0.5, "no picture", ha="center", va="center", fontsize=8)
                continue
            low, high = np.percentile(picture, (1, 99))
            ax.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
    return figure


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"...{name[3 - _MOST_LETTERS :]}"
