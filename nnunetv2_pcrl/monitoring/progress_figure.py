"""progress.png: all charts of a training in one picture."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnunetv2_pcrl.monitoring.charts import Chart
from nnunetv2_pcrl.weights.atomic import replaced_atomically

COLOURS = ("#2f6db3", "#d1622b", "#2f8f5b", "#8a57b0", "#b8901e", "#b34a6b", "#4aa3b5", "#6b6b6b")
STYLES = {"solid": "-", "dashed": "--", "dotted": ":"}
COLUMNS = 5
# More points than this on a curve are drawn without marks.
MOST_MARKED_EPOCHS = 40


def draw_progress(charts: Sequence[Chart], path: str | os.PathLike, title: str) -> None:
    """Draws the charts into a file; its ending says the format (png, svg, pdf).

    Args:
        charts: at least one.
        path: the file to write or replace.
        title: of the picture.
    """
    rows = -(-len(charts) // COLUMNS)
    # A fixed layout: matplotlib's own takes longer than the drawing.
    figure = Figure(figsize=(4.4 * COLUMNS, 3.4 * rows + 0.5))
    top = 1 - 0.8 / (3.4 * rows + 0.5)
    figure.subplots_adjust(
        left=0.03, right=0.995, bottom=0.11 / rows, top=top, wspace=0.17, hspace=0.28
    )
    figure.suptitle(title, x=0.03, y=0.99, ha="left", va="top", fontsize=15, fontweight="bold")
    for number, chart in enumerate(charts):
        _draw(figure.add_subplot(rows, COLUMNS, number + 1), chart)
    with replaced_atomically(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:], dpi=80)


def _draw(ax: Axes, chart: Chart) -> None:
    num_levels = max(curve.colour for curve in chart.curves) + 1
    for curve in chart.curves:
        epochs = len(curve.values)
        ax.plot(
            range(1, epochs + 1),
            curve.values,
            STYLES[curve.style],
            color=_colour(curve.colour, num_levels, chart.levels),
            label=curve.label,
            linewidth=1.8,
            # A value between epochs without one would be invisible.
            marker="." if epochs <= MOST_MARKED_EPOCHS or _has_gaps(curve.values) else None,
        )
    ax.set_title(chart.title, loc="left", fontsize=11, fontweight="bold")
    if chart.from_zero:
        low, high = ax.dataLim.intervaly
        ax.set_ylim(min(0.0, low), (1.08 * high if high > 0 else None))
    if max(len(curve.values) for curve in chart.curves) == 1:
        # Around a single value matplotlib would count parts of an epoch.
        ax.set_xlim(0, 2)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    ax.grid(alpha=0.25)
    ax.tick_params(labelsize=10)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if len(chart.curves) > 1:
        ax.legend(fontsize=9, ncols=1 + (len(chart.curves) > 6), framealpha=0.7)


def _has_gaps(values: Sequence[float]) -> bool:
    return any(not math.isfinite(value) for value in values)


def _colour(number: int, num_levels: int, are_levels: bool) -> str | tuple:
    if number < 0:
        return "#555555"
    if are_levels:
        return colormaps["viridis"](0.9 * number / max(1, num_levels - 1))
    return COLOURS[number % len(COLOURS)]
