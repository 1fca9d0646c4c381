"""pictures.png: what is learned of fixed views, e.g. input, target, restorations, differences."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle as Patch
from matplotlib.patheffects import Normal, Stroke

from nnunetv2_pcrl.monitoring.case_names import shortened
from nnunetv2_pcrl.monitoring.panels import MatrixPanel, Panel, PanelRow
from nnunetv2_pcrl.weights.atomic import replaced_atomically

PICTURES_NAME = "pictures.png"
# Inches.
CELL, SOURCE_CELL = 1.8, 2.4
GAP = 0.08
LABEL = 2.1
HEAD = 0.95
FOOT = 0.6
EXAMPLE_GAP = 0.26
# Height of a line of notes, and the mean width of its letters.
NOTE, LETTER = 0.17, 0.068
LEAST_ROW, MOST_ROW = 0.75, 2.4
# Of kinds of views, in their order: bright on grey, and far from one another.
COLOURS = ("#ff9d2e", "#4fb3ff", "#9dff5c", "#ff6ad5", "#ffe14d")
MOST_WRITTEN_VALUES, LEAST_WRITTEN_VALUE = 64, 0.05


def draw_pictures(rows: Sequence[PanelRow], epoch: int, path: str | os.PathLike) -> None:
    """Draws the rows into a file; its ending says the format (png, svg, pdf).

    Args:
        rows: at least one; all with the same columns.
        epoch: after how many epochs.
        path: the file to write or replace.
    """
    page = _Page(rows)
    figure = Figure(figsize=(page.width, page.height), facecolor="white")
    # A single axis in inches: one per picture would take seconds.
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(0, page.width)
    ax.set_ylim(page.height, 0)
    ax.axis("off")
    ax.text(0.1, 0.1, f"After epoch {epoch}", fontsize=14, weight="bold", va="top")
    if any(panel.error is not None for panel in rows[0].panels):
        text = "number in a picture: squared error / variance of the channel (0 perfect, 1 mean)"
        ax.text(0.1, 0.42, text, fontsize=9, va="top", color="#444444")
    page.draw(ax)
    with replaced_atomically(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:], dpi=100)


class _Page:
    """Where everything lies, in inches from the upper left corner."""

    def __init__(self, rows: Sequence[PanelRow]):
        self._rows = rows
        self._heights = [_row_height(row) for row in rows]
        cases = list(dict.fromkeys(row.case for row in rows))
        self._names = dict(zip(cases, shortened(cases, 19), strict=True))
        self._kinds = list(dict.fromkeys(r.kind for row in rows for r in row.rectangles))
        num_panels = len(rows[0].columns) - 1
        num_matrices = max(len(row.matrices) for row in rows)
        self._lefts = [LABEL] + [
            LABEL + SOURCE_CELL + GAP + number * (CELL + GAP)
            for number in range(num_panels + num_matrices)
        ]
        self.width = max(self._lefts[-1] + CELL + 0.1, 9.0)
        gaps = [self._gap(number) for number in range(len(rows))]
        notes = NOTE * (len(self._notes) - 1)
        self.height = HEAD + sum(self._heights) + sum(gaps) + FOOT + notes

    def _gap(self, number: int) -> float:
        rows = self._rows
        is_new = number > 0 and rows[number].case != rows[number - 1].case
        return EXAMPLE_GAP if is_new else GAP

    def draw(self, ax: Axes) -> None:
        """Rows, titles and legend."""
        top = HEAD
        for number, (row, height) in enumerate(zip(self._rows, self._heights, strict=True)):
            top += self._gap(number)
            is_first = number == 0 or self._rows[number - 1].case != row.case
            words = ([self._names[row.case]] if is_first else []) + list(row.label)
            _draw_label(ax, words, is_first, top, height)
            cells = [SOURCE_CELL, *[CELL] * (len(self._lefts) - 1)]
            drawn: tuple[Panel | MatrixPanel, ...] = (*row.columns, *row.matrices)
            for panel, left, cell in zip(drawn, self._lefts, cells, strict=False):
                if number == 0 or isinstance(panel, MatrixPanel):
                    middle = left + cell / 2
                    ax.text(middle, top - 0.07, panel.title, fontsize=10, ha="center", va="bottom")
                if isinstance(panel, MatrixPanel):
                    _draw_matrix(ax, panel, left, top, height)
                else:
                    self._draw_panel(ax, row, panel, (left, top, cell, height))
            top += height
        self._draw_legend(ax, top + 0.2)

    def _draw_panel(
        self, ax: Axes, row: PanelRow, panel: Panel, cell: tuple[float, float, float, float]
    ) -> None:
        left, top, cell_width, height = cell
        shape = _shape(panel)
        drawn_height = min(height, cell_width * shape)
        width = drawn_height / shape
        x, y = left + (cell_width - width) / 2, top + (height - drawn_height) / 2
        low, high = row.source_window if panel is row.source else row.window
        is_difference = panel is row.difference
        if is_difference:
            low, high = 0.0, (high - low) / 2
        # Colours are made here, as vector formats would store a picture and its scale.
        ax.imshow(
            _coloured(panel.image, low, high, is_difference),
            extent=(x, x + width, y + drawn_height, y),
            interpolation="nearest",
            aspect="auto",
        )
        # Where a dark image ends and the page begins.
        ax.add_patch(
            Patch((x, y), width, drawn_height, fill=False, edgecolor="#b8bec7", linewidth=0.8)
        )
        if panel is row.source:
            self._draw_views(ax, row, (x, y, width, drawn_height))
        if panel.error is not None:
            ax.text(
                x + 0.05,
                y + 0.05,
                f"{panel.error:.2f}",
                fontsize=9,
                color="white",
                va="top",
                bbox={"facecolor": "black", "alpha": 0.6, "pad": 1.5, "linewidth": 0},
            )

    def _draw_views(
        self, ax: Axes, row: PanelRow, place: tuple[float, float, float, float]
    ) -> None:
        x, y, width, height = place
        rows, columns = row.source.image.shape[:2]
        counts = {kind: sum(r.kind == kind for r in row.rectangles) for kind in self._kinds}
        for rectangle in row.rectangles:
            line = 2.2 if counts[rectangle.kind] == 1 else 1.5
            left = x + rectangle.start[1] * width / columns
            top = y + rectangle.start[0] * height / rows
            if rectangle.name:
                _draw_name(ax, rectangle.name, left, top, self._colour(rectangle.kind))
            ax.add_patch(
                Patch(
                    (left, top),
                    rectangle.size[1] * width / columns,
                    rectangle.size[0] * height / rows,
                    fill=False,
                    edgecolor=self._colour(rectangle.kind),
                    linewidth=line,
                    linestyle="-" if rectangle.is_cut else ":",
                    # On bright tissue too.
                    path_effects=[
                        Stroke(linewidth=line + 1.4, foreground="black", alpha=0.55),
                        Normal(),
                    ],
                )
            )

    def _colour(self, kind: str) -> str:
        return COLOURS[self._kinds.index(kind) % len(COLOURS)]

    def _draw_legend(self, ax: Axes, y: float) -> None:
        x = 0.1
        for kind in self._kinds:
            ax.plot([x, x + 0.3], [y, y], color=self._colour(kind), linewidth=3)
            ax.text(x + 0.38, y, kind, fontsize=9, va="center")
            x += 0.38 + 0.075 * len(kind) + 0.3
        if any(not r.is_cut for row in self._rows for r in row.rectangles):
            ax.text(x, y, "dotted: not in this slice", fontsize=9, va="center", color="#444444")
        for number, line in enumerate(self._notes):
            ax.text(0.1, y + 0.22 + number * NOTE, line, fontsize=9, va="center", color="#444444")

    @property
    def _notes(self) -> list[str]:
        """How to read the pictures, in lines as wide as the page."""
        text = "range: 1st to 99th percentile, the source by its own, all others by one of them"
        if self._rows[0].difference is not None:
            text += "; difference: black = 0, bright = half of that range"
        if any(len(row.label) > 1 for row in self._rows):
            text += "; directions are the source's: views may be mirrored and turned"
        return textwrap.wrap(text, int((self.width - 0.2) / LETTER))


def _draw_name(ax: Axes, name: str, left: float, top: float, colour: str) -> None:
    """What a table calls a view, inside its upper left corner."""
    ax.text(
        left + 0.03,
        top + 0.02,
        name,
        fontsize=7.5,
        weight="bold",
        color=colour,
        va="top",
        path_effects=[Stroke(linewidth=2, foreground="black"), Normal()],
        zorder=4,
    )


def _coloured(image: np.ndarray, low: float, high: float, is_difference: bool) -> np.ndarray:
    """Red, green and blue in [0, 1]."""
    if is_difference:
        flat = image.mean(axis=-1) if image.ndim == 3 else image
        return colormaps["inferno"](Normalize(low, high)(flat))
    if image.ndim == 3:
        return np.clip((image - low) / (high - low), 0, 1)
    return colormaps["gray"](Normalize(low, high)(image))


def _row_height(row: PanelRow) -> float:
    """So that the tallest picture fills its cell's width, within limits."""
    tallest = max(
        CELL * max(_shape(panel) for panel in row.panels), SOURCE_CELL * _shape(row.source)
    )
    return min(MOST_ROW, max(LEAST_ROW, CELL if row.matrices else 0, tallest))


def _shape(panel: Panel) -> float:
    """Height over width of a picture."""
    height, width = panel.image.shape[:2]
    return height * panel.aspect / width


def _draw_label(ax: Axes, words: Sequence[str], has_case: bool, top: float, height: float) -> None:
    for line, text in enumerate(words):
        is_case = has_case and line == 0
        ax.text(
            LABEL - 0.12,
            top + height / 2 + 0.17 * (line - (len(words) - 1) / 2),
            text,
            fontsize=9 if is_case else 8.5,
            weight="bold" if is_case else "normal",
            ha="right",
            va="center",
        )


def _draw_matrix(ax: Axes, matrix: MatrixPanel, left: float, top: float, height: float) -> None:
    """A table with its values, names of columns above and of rows at its left."""
    num_rows, num_columns = matrix.values.shape
    margin = 0.22
    width, drawn = (CELL - margin) / num_columns, (min(height, CELL) - margin) / num_rows
    colours = colormaps["viridis"](np.clip(matrix.values, 0, 1))
    is_written = matrix.values.size <= MOST_WRITTEN_VALUES
    for (row, column), value in np.ndenumerate(matrix.values):
        x, y = left + margin + column * width, top + margin + row * drawn
        ax.add_patch(Patch((x, y), width, drawn, color=colours[row, column], linewidth=0))
        # What rounds to nothing is seen by its colour, and would hide what does not.
        if is_written and value >= LEAST_WRITTEN_VALUE:
            ink = "black" if value > 0.6 else "white"
            ax.text(
                x + width / 2, y + drawn / 2, f"{value:.1f}", fontsize=7, color=ink,
                ha="center", va="center",
            )  # fmt: skip
    for row, name in enumerate(matrix.rows):
        y = top + margin + (row + 0.5) * drawn
        ax.text(left + margin - 0.04, y, name, fontsize=7, ha="right", va="center")
    for column, name in enumerate(matrix.columns):
        x = left + margin + (column + 0.5) * width
        ax.text(x, top + margin - 0.03, name, fontsize=7, ha="center", va="bottom")
