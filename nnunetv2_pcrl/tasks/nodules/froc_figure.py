"""The FROC curve of nodules, with its bootstrap interval."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from nnunetv2_pcrl.monitoring.looks import COLOURS, add_title, tidy

FROC = "froc"
HEIGHT = 4.8


def draw_froc(
    rates: np.ndarray,
    sensitivities: np.ndarray,
    limits: np.ndarray,
    marked: Sequence[float],
    title: str,
) -> Figure:
    """Sensitivity over false positives per scan.

    Args:
        rates: false positives per scan, rising, shape [N].
        sensitivities: in [0, 1], shape [N].
        limits: lower and upper limit of the 95 % interval, shape [2, N].
        marked: rates of which the score is the mean; they get ticks and points.
        title: above the curve, in one or two lines.
    """
    figure = Figure(figsize=(7.2, HEIGHT))
    figure.subplots_adjust(left=0.1, right=0.97, top=1 - 0.75 / HEIGHT, bottom=0.13)
    ax = figure.add_subplot()
    ax.fill_between(rates, *limits, color=COLOURS[0], alpha=0.15, linewidth=0)
    ax.plot(rates, sensitivities, color=COLOURS[0], linewidth=1.8)
    points = np.interp(marked, rates, sensitivities)
    ax.plot(marked, points, "o", color=COLOURS[0], markersize=5, clip_on=False)
    ax.set_xscale("log", base=2)
    ax.set_xlim(rates[0], rates[-1])
    ax.set_ylim(0, 1)
    ax.xaxis.set_major_locator(FixedLocator(list(marked)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    ax.set_xlabel("false positives per scan", fontsize=11)
    ax.set_ylabel("sensitivity", fontsize=11)
    tidy(ax)
    add_title(figure, title, 0.1, 12)
    return figure
