"""restorations.png: input, target, restorations and differences of fixed crops."""

import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle as Patch

from nnunetv2_pcrl.monitoring.panels import Panel, PanelRow
from nnunetv2_pcrl.weights.atomic import replaced_atomically

# Inches.
CELL = 1.7
GAP = 0.06
LABEL = 1.7
HEAD = 0.85
FOOT = 0.42
EXAMPLE_GAP = 0.22
KINDS = {
    "first": ("#ff9d2e", 2.0, "first global view, restored"),
    "second": ("#4fb3ff", 2.0, "second global view"),
    "local": ("#9dff5c", 1.4, "local views"),
}


def draw_restorations(rows: Sequence[PanelRow], epoch: int, path: str | os.PathLike) -> None:
    """Draws the rows into a file; its ending says the format (png, svg, pdf).

    Args:
        rows: at least one; all with the same columns.
        epoch: after how many epochs.
        path: the file to write or replace.
    """
    num_columns = len(rows[0].columns)
    heights = [_row_height(row) for row in rows]
    gaps = [
        EXAMPLE_GAP if i and row.label[0] != rows[i - 1].label[0] else GAP
        for i, row in enumerate(rows)
    ]
    width = LABEL + num_columns * (CELL + GAP)
    height = HEAD + sum(heights) + sum(gaps) + FOOT
    figure = Figure(figsize=(width, height), facecolor="white")
    # A single axis in inches: one per picture would take seconds.
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.axis("off")
    ax.text(0.1, 0.1, f"Restorations after epoch {epoch}", fontsize=14, weight="bold", va="top")
    ax.text(
        width - 0.1,
        0.12,
        "number in a restoration: squared error / variance of the channel (0 = perfect, 1 = mean)",
        fontsize=9,
        ha="right",
        va="top",
        color="#444444",
    )
    top = HEAD
    for number, (row, row_height, gap) in enumerate(zip(rows, heights, gaps, strict=True)):
        top += gap
        _draw_label(ax, row, rows[number - 1] if number else None, top, row_height)
        for column, panel in enumerate(row.columns):
            left = LABEL + column * (CELL + GAP)
            if number == 0:
                middle = left + CELL / 2
                ax.text(middle, top - 0.08, panel.title, fontsize=10.5, ha="center", va="bottom")
            _draw_panel(ax, row, panel, left, top, row_height)
        top += row_height
    _draw_legend(ax, width, top + FOOT / 2)
    with replaced_atomically(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:], dpi=100)


def _row_height(row: PanelRow) -> float:
    """So that the tallest picture fills its cell's width, within limits."""
    tallest = max(_shape(panel) for panel in row.panels)
    return CELL * min(1.25, max(0.35, tallest))


def _shape(panel: Panel) -> float:
    """Height over width of a picture."""
    height, width = panel.image.shape
    return height * panel.aspect / width


def _draw_label(
    ax: Axes, row: PanelRow, before: PanelRow | None, top: float, height: float
) -> None:
    """The case is said once, above its first row's other words."""
    is_first = before is None or before.label[0] != row.label[0]
    words = row.label if is_first else row.label[1:]
    for line, text in enumerate(words):
        is_case = is_first and line == 0
        ax.text(
            LABEL - 0.1,
            top + height / 2 + 0.17 * (line - (len(words) - 1) / 2),
            _shortened(text),
            fontsize=9 if is_case else 8.5,
            weight="bold" if is_case else "normal",
            ha="right",
            va="center",
        )


def _shortened(text: str, longest: int = 18) -> str:
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-longest // 2 + 1 :]}"


def _draw_panel(
    ax: Axes, row: PanelRow, panel: Panel, left: float, top: float, height: float
) -> None:
    shape = _shape(panel)
    drawn_height = min(height, CELL * shape)
    drawn_width = drawn_height / shape
    x, y = left + (CELL - drawn_width) / 2, top + (height - drawn_height) / 2
    low, high = row.window
    is_difference = panel is row.difference
    limits = (0.0, (high - low) / 2) if is_difference else (low, high)
    ax.add_patch(Patch((left, top), CELL, height, color="black", linewidth=0, zorder=-1))
    # Colours are made here, as vector formats would store a picture and its scale.
    ax.imshow(
        colormaps["inferno" if is_difference else "gray"](Normalize(*limits)(panel.image)),
        extent=(x, x + drawn_width, y + drawn_height, y),
        interpolation="nearest",
        aspect="auto",
    )
    if panel is row.source:
        rows, columns = panel.image.shape
        for rectangle in row.rectangles:
            colour, line_width, _ = KINDS[rectangle.kind]
            ax.add_patch(
                Patch(
                    (
                        x + rectangle.start[1] * drawn_width / columns,
                        y + rectangle.start[0] * drawn_height / rows,
                    ),
                    rectangle.size[1] * drawn_width / columns,
                    rectangle.size[0] * drawn_height / rows,
                    fill=False,
                    edgecolor=colour,
                    linewidth=line_width,
                    linestyle="-" if rectangle.is_cut else ":",
                    alpha=1.0 if rectangle.is_cut else 0.55,
                )
            )
    if panel.error is not None:
        ax.text(
            left + 0.05,
            top + 0.05,
            f"{panel.error:.2f}",
            fontsize=9,
            color="white",
            va="top",
            bbox={"facecolor": "black", "alpha": 0.6, "pad": 1.5, "linewidth": 0},
        )


def _draw_legend(ax: Axes, width: float, y: float) -> None:
    x = 0.1
    for colour, line_width, text in KINDS.values():
        ax.plot([x, x + 0.3], [y, y], color=colour, linewidth=line_width)
        ax.text(x + 0.38, y, text, fontsize=9, va="center")
        x += 0.38 + 0.075 * len(text) + 0.35
    ax.text(x, y, "dotted: not in this slice", fontsize=9, va="center", color="#444444")
    scale = (
        "grey: 1st to 99th percentile of the target; difference: black = 0, bright = half of that"
    )
    ax.text(width - 0.1, y, scale, fontsize=9, va="center", ha="right", color="#444444")
