"""progress.png: all charts of a training in one picture."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnunetv2_pcrl.monitoring.charts import Curve, Plot
from nnunetv2_pcrl.weights.atomic import replaced_atomically

COLOURS = ("#2f6db3", "#d1622b", "#2f8f5b", "#8a57b0", "#b8901e", "#b34a6b", "#4aa3b5", "#6b6b6b")
STYLES = {"solid": "-", "dashed": "--", "dotted": ":"}
COLUMNS = 4
# Inches: a chart, what its labels at the right take, and the page's head.
WIDTH, HEIGHT, LABELS, HEAD = 4.2, 3.5, 1.65, 0.7
# More points than this on a curve are drawn without marks.
MOST_MARKED_EPOCHS = 40
# Of the height of a chart, between two labels; fewer fit where there are many.
LABEL_STEP = 0.075


def draw_progress(plots: Sequence[Plot], path: str | os.PathLike, title: str) -> None:
    """Draws the charts into a file; its ending says the format (png, svg, pdf).

    Args:
        plots: at least one.
        path: the file to write or replace.
        title: of the picture.
    """
    columns = min(COLUMNS, len(plots))
    rows = -(-len(plots) // columns)
    width, height = columns * (WIDTH + LABELS), rows * HEIGHT + HEAD
    # A fixed layout: matplotlib's own takes longer than the drawing.
    figure = Figure(figsize=(width, height))
    figure.text(0.25 / width, 1 - 0.2 / height, title, va="top", fontsize=15, fontweight="bold")
    for number, plot in enumerate(plots):
        row, column = divmod(number, columns)
        left, top = column * (WIDTH + LABELS) + 0.72, HEAD + row * HEIGHT + 0.3
        place = (left, height - top - HEIGHT + 0.85, WIDTH - 0.8, HEIGHT - 0.85)
        ax = figure.add_axes(
            (place[0] / width, place[1] / height, place[2] / width, place[3] / height)
        )
        _draw(ax, plot)
    with replaced_atomically(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:], dpi=80)


def _draw(ax: Axes, plot: Plot) -> None:
    num_levels = max(curve.colour for curve in plot.curves) + 1
    colours = [_colour(curve.colour, num_levels, plot.chart.levels) for curve in plot.curves]
    for curve, colour in zip(plot.curves, colours, strict=True):
        # Over epochs without a value, as those between two probes, the line goes on.
        points = [(e, v) for e, v in enumerate(curve.values, 1) if math.isfinite(v)]
        ax.plot(
            [epoch for epoch, _ in points],
            [value for _, value in points],
            STYLES[curve.style],
            color=colour,
            linewidth=1.8,
            marker="." if len(points) <= MOST_MARKED_EPOCHS else None,
        )
    ax.set_title(plot.title, loc="left", fontsize=11, fontweight="bold")
    if plot.chart.from_zero:
        low, high = ax.dataLim.intervaly
        ax.set_ylim(min(0.0, low), (1.08 * high if high > 0 else None))
    if plot.num_epochs == 1:
        # Around a single value matplotlib would count parts of an epoch.
        ax.set_xlim(0, 2)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    ax.set_xlabel("epoch", fontsize=9, labelpad=1)
    ax.set_ylabel(plot.chart.axis, fontsize=9, labelpad=2)
    ax.grid(alpha=0.25)
    ax.tick_params(labelsize=9)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    _label(ax, plot.curves, colours)


def _label(ax: Axes, curves: Sequence[Curve], colours: Sequence) -> None:
    """Names every curve beside its last value, with its colour and style."""
    low, high = ax.get_ylim()
    ends = []
    for curve, colour in zip(curves, colours, strict=True):
        finite = [value for value in curve.values if math.isfinite(value)]
        if finite:
            ends.append(((finite[-1] - low) / (high - low), curve, colour))
    ends.sort(key=lambda end: end[0])
    heights = spread([end[0] for end in ends], LABEL_STEP)
    for height, (end, curve, colour) in zip(heights, ends, strict=True):
        ax.plot(
            [1.01, 1.045, 1.10],
            [end, height, height],
            STYLES[curve.style],
            color=colour,
            linewidth=1.6,
            transform=ax.transAxes,
            clip_on=False,
        )
        ax.text(
            1.115,
            height,
            curve.label,
            transform=ax.transAxes,
            fontsize=8.5,
            color="#333333",
            va="center",
        )


def spread(places: Sequence[float], step: float) -> list[float]:
    """Places in [0, 1], from low to high, moved apart by a step at least where there is room.

    Args:
        places: in rising order.
        step: between neighbours.
    """
    step = min(step, 1 / max(1, len(places) - 1))
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + step) if moved else max(0.0, place))
    limit = 1.0
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - step
    return moved


def _colour(number: int, num_levels: int, are_levels: bool) -> str | tuple:
    if number < 0:
        return "#555555"
    if are_levels:
        return colormaps["viridis"](0.85 * number / max(1, num_levels - 1))
    return COLOURS[number % len(COLOURS)]
