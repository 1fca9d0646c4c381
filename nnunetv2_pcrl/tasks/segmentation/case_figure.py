"""A picture of segmented cases: image, reference and predictions side by side, outlined."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nnunetv2_pcrl.tasks.segmentation.case_legend import (
    LEGEND_LINE,
    draw_legend,
    legend_lines,
    shortened,
)
from nnunetv2_pcrl.tasks.segmentation.case_slices import SliceRow
from nnunetv2_pcrl.tasks.segmentation.label_names import LabelKey
from nnunetv2_pcrl.weights.atomic import replaced_atomically

# Light enough for black, and told apart by colour-blind people as far as there are enough.
COLOURS = (
    "#ffb000",
    "#4fc3ff",
    "#ff6bb5",
    "#57e389",
    "#ff7043",
    "#b39dff",
    "#f2f25a",
    "#00c8b4",
)
REFERENCE_COLOUR = "#ffffff"
IGNORE_COLOUR = "#9a9a9a"
MOST_NAMES = 24
# Classes whose single scores fit beside the mean.
MOST_SCORES = 4
# Letters above a narrow picture.
SCORE_LINE = 29
# Inches.
WIDE_CELL, NARROW_CELL = 2.6, 2.0
LABEL = 1.62
GAP = 0.05
HEAD = 0.78
BLOCK_HEAD = 0.52
BLOCK_GAP = 0.14
FOOT = 0.5


@dataclass(frozen=True)
class CaseBlock:
    """One case of the picture.

    Attributes:
        rank: why it is shown, e.g. worst.
        case: identifier.
        scores: lines of text per prediction.
        rows: its planes.
    """

    rank: str
    case: str
    scores: tuple[tuple[str, ...], ...]
    rows: tuple[SliceRow, ...]


@dataclass(frozen=True)
class CaseFigure:
    """Everything that is drawn.

    Attributes:
        title: line in bold above the picture.
        subtitle: line below it.
        columns: names of the image, the reference and each prediction.
        labels: names of the labels or regions.
        blocks: cases, at least one.
        ignore_label: of the reference, if there is one.
    """

    title: str
    subtitle: str
    columns: tuple[str, ...]
    labels: Mapping[LabelKey, str]
    blocks: Sequence[CaseBlock]
    ignore_label: int | None = None


def score_lines(metric: str, mean: float, by_label: Mapping[str, float]) -> tuple[str, ...]:
    """What stands above a prediction: the mean, and the labels where these are few."""
    known = {name: value for name, value in by_label.items() if np.isfinite(value)}
    lines: tuple[str, ...] = (f"{metric} {mean:.3f}",)
    if 1 < len(by_label) <= MOST_SCORES:
        scores = [f"{shortened(name, 20)} {value:.2f}" for name, value in known.items()]
        lines += tuple(_packed(scores))
    return lines


def _packed(scores: Sequence[str]) -> list[str]:
    """As many scores to a line as the narrowest picture is wide."""
    lines: list[str] = []
    for score in scores:
        if lines and len(lines[-1]) + 2 + len(score) <= SCORE_LINE:
            lines[-1] += f"  {score}"
        else:
            lines.append(score)
    return lines


def draw_case_figure(content: CaseFigure, path: str | os.PathLike) -> None:
    """Draws the picture into a file; its ending says the format.

    Outlines follow the voxels. In predictions the reference is a thin white line below them, so
    white is where they differ.
    """
    cell = WIDE_CELL if len(content.columns) <= 4 else NARROW_CELL
    width = LABEL + len(content.columns) * (cell + GAP) + GAP
    entries = _legend(content)
    lines = legend_lines(entries, width)
    heights = [[_row_height(row, cell) for row in block.rows] for block in content.blocks]
    height = (
        HEAD
        + sum(map(_block_head, content.blocks))
        + sum(BLOCK_GAP + sum(rows) + GAP * len(rows) for rows in heights)
        + LEGEND_LINE * len(lines)
        + FOOT
    )
    figure = Figure(figsize=(width, height), facecolor="white")
    # A single axis in inches: one per picture would take seconds.
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.axis("off")
    ax.text(0.1, 0.12, content.title, fontsize=13, weight="bold", va="top")
    ax.text(0.1, 0.42, content.subtitle, fontsize=9, va="top", color="#444444")
    top = HEAD
    for block, rows in zip(content.blocks, heights, strict=True):
        _draw_block_head(ax, content, block, top, cell)
        top += _block_head(block)
        for row, row_height in zip(block.rows, rows, strict=True):
            _draw_row(ax, content, row, top, row_height, cell)
            top += row_height + GAP
        top += BLOCK_GAP
    draw_legend(ax, lines, top + 0.12)
    ax.text(0.1, height - 0.12, _note(content), fontsize=8, color="#444444", va="bottom")
    with replaced_atomically(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:], dpi=110)


def _note(content: CaseFigure) -> str:
    """What was cut out of the images, and how it is turned."""
    rows = [row for block in content.blocks for row in block.rows]
    if not any(any(row.edges) for row in rows):
        return "Cropped around what is segmented; shown as stored, as the files name no direction."
    return (
        "Slices of the reference with most of it and of the errors, cropped; R, L, A, P, S, I: "
        "right, left, anterior, posterior, superior, inferior of the patient."
    )


def outline(mask: np.ndarray) -> np.ndarray:
    """Edges between the voxels of a mask and others, in units of pixels from the upper left.

    Args:
        mask: boolean, shape [h, w]; beyond its ends there is nothing of it.

    Returns:
        Line segments [N, 2, 2] of points (x, y).
    """
    padded = np.pad(mask, 1)
    # Between vertical neighbours runs a horizontal line, and the other way round.
    y, x = np.nonzero(padded[1:] != padded[:-1])
    horizontal = np.stack([np.stack([x - 1, y], -1), np.stack([x, y], -1)], 1)
    y, x = np.nonzero(padded[:, 1:] != padded[:, :-1])
    vertical = np.stack([np.stack([x, y - 1], -1), np.stack([x, y], -1)], 1)
    return np.concatenate([horizontal, vertical])


def _block_head(block: CaseBlock) -> float:
    """Height of a case's head, with room for the scores."""
    most = max((len(lines) for lines in block.scores), default=0)
    return BLOCK_HEAD + 0.135 * max(0, most - 2)


def _row_height(row: SliceRow, cell: float) -> float:
    """So that the picture fills its cell's width, within limits."""
    return cell * min(1.0, max(0.3, _shape(row)))


def _shape(row: SliceRow) -> float:
    """Height over width of a picture."""
    height, width = row.image.shape[:2]
    return height * row.aspect / width


def _draw_block_head(
    ax: Axes, content: CaseFigure, block: CaseBlock, top: float, cell: float
) -> None:
    rule = LABEL + len(content.columns) * (cell + GAP)
    ax.plot([0.1, rule], [top, top], color="#bbbbbb", linewidth=0.8)
    ax.text(0.1, top + 0.06, block.rank, fontsize=10.5, weight="bold", va="top")
    case = shortened(block.case, int((LABEL + cell / 3) / 0.08))
    ax.text(0.1, top + 0.26, case, fontsize=9, va="top")
    for number, name in enumerate(content.columns):
        lines = [name, *(block.scores[number - 2] if number > 1 else ())]
        for line, text in enumerate(lines):
            ax.text(
                LABEL + number * (cell + GAP) + cell / 2,
                top + 0.07 + 0.135 * line,
                shortened(text, int(cell / (0.082 if line == 0 else 0.068))),
                fontsize=9 if line == 0 else 8,
                ha="center",
                va="top",
            )


def _draw_row(
    ax: Axes, content: CaseFigure, row: SliceRow, top: float, height: float, cell: float
) -> None:
    middle = top + height / 2
    for line, text in enumerate(row.words):
        ax.text(
            LABEL - 0.1,
            middle + 0.15 * (line - (len(row.words) - 1) / 2),
            text,
            fontsize=8.5,
            weight="bold" if line == 0 else "normal",
            ha="right",
            va="center",
        )
    shape = _shape(row)
    drawn_height = min(height, cell * shape)
    drawn_width = drawn_height / shape
    for column in range(len(content.columns)):
        left = LABEL + column * (cell + GAP)
        x, y = left + (cell - drawn_width) / 2, top + (height - drawn_height) / 2
        ax.add_patch(Rectangle((left, top), cell, height, color="black", linewidth=0, zorder=-1))
        pixels = row.image if row.image.ndim == 3 else np.repeat(row.image[..., None], 3, -1)
        ax.imshow(
            pixels,
            extent=(x, x + drawn_width, y + drawn_height, y),
            interpolation="bilinear",
            aspect="auto",
        )
        place = (x, y, drawn_width, drawn_height)
        if column == 1:
            _draw_labels(ax, content, row.segmentations[0], place)
            if content.ignore_label is not None:
                ignored = row.segmentations[0] == content.ignore_label
                _draw_outline(ax, ignored, place, IGNORE_COLOUR, 1.0)
        elif column > 1:
            for key in content.labels:
                _draw_outline(ax, _mask(row.segmentations[0], key), place, REFERENCE_COLOUR, 0.8)
            _draw_labels(ax, content, row.segmentations[column - 1], place)
        if column == 0:
            _draw_letters(ax, row.edges, place)


def _draw_labels(ax: Axes, content: CaseFigure, labels: np.ndarray, place: tuple) -> None:
    for number, key in enumerate(content.labels):
        _draw_outline(ax, _mask(labels, key), place, COLOURS[number % len(COLOURS)], 1.4)


def _mask(labels: np.ndarray, key: LabelKey) -> np.ndarray:
    return np.isin(labels, key)


def _draw_outline(ax: Axes, mask: np.ndarray, place: tuple, colour: str, line_width: float) -> None:
    if not mask.any():
        return
    x, y, width, height = place
    lines = outline(mask) * (width / mask.shape[1], height / mask.shape[0]) + (x, y)
    ax.add_collection(
        LineCollection(lines, colors=colour, linewidths=line_width, capstyle="projecting"),
        autolim=False,
    )


def _draw_letters(ax: Axes, edges: tuple[str, str, str, str], place: tuple) -> None:
    x, y, width, height = place
    inset = 0.09
    points = (
        (x + width / 2, y + inset),
        (x + width / 2, y + height - inset),
        (x + inset, y + height / 2),
        (x + width - inset, y + height / 2),
    )
    for letter, (column, row) in zip(edges, points, strict=True):
        if letter:
            ax.text(
                column,
                row,
                letter,
                fontsize=8,
                weight="bold",
                color="#ffe27a",
                ha="center",
                va="center",
                bbox={"facecolor": "black", "alpha": 0.45, "pad": 0.8, "linewidth": 0},
            )


def _legend(content: CaseFigure) -> list[tuple[str, str]]:
    """Colour and name of everything that is drawn somewhere."""
    drawn = [
        labels for block in content.blocks for row in block.rows for labels in row.segmentations
    ]
    entries = [
        (COLOURS[number % len(COLOURS)], name)
        for number, (key, name) in enumerate(content.labels.items())
        if any(_mask(labels, key).any() for labels in drawn)
    ]
    if len(entries) > MOST_NAMES:
        more = len(entries) - MOST_NAMES
        entries = [*entries[:MOST_NAMES], ("#ffffff", f"and {more} more, in the same colours")]
    if content.ignore_label is not None:
        entries.append((IGNORE_COLOUR, "ignored in the reference"))
    return [*entries, (REFERENCE_COLOUR, "reference, where a prediction differs")]
