"""What nnU-Net logs in every epoch, over training epochs: who learns faster."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnunetv2_pcrl.evaluation.comparison import Comparison, Row
from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric
from nnunetv2_pcrl.evaluation.pace import pace
from nnunetv2_pcrl.evaluation.reader import Curve
from nnunetv2_pcrl.experiments.runs import FINAL_CHECKPOINT, TrainingRun
from nnunetv2_pcrl.monitoring.looks import Look, add_legend, add_title, legend_height, save, tidy
from nnunetv2_pcrl.weights.reading import load_safely

COLUMNS = 3
# Inches.
PANEL_WIDTH, PANEL_HEIGHT = 4.1, 3.2

Curves = Mapping[TrainingRun, Sequence[float]]


def convergence_name(metric: Metric) -> str:
    """Of the picture's files, without their ending."""
    return f"{metric.key}_over_epochs"


def read_curve(folder: Path, curve: Curve, measured: Measured) -> list[float]:
    """The logged value of every epoch of a finished training; empty if none is logged.

    Args:
        folder: result folder of the run.
        curve: what is read.
        measured: remembers curves, as checkpoints are large.

    Raises:
        ValueError: as `load_safely`.
    """
    path = folder / FINAL_CHECKPOINT

    def read() -> list[float]:
        logged = load_safely(path).get("logging", {})
        return [float(value) for value in logged.get(curve.key, [])]

    return measured.get("/".join([*folder.parts[-3:], curve.key]), [path], read)


def with_pace(
    rows: Sequence[Row], comparison: Comparison, curves: Curves, metric: Metric
) -> list[Row]:
    """Rows with the pace of every trainer beside the twin, over the pairs whose curves are there.

    Args:
        rows: as `compare` makes them.
        comparison: that they are of.
        curves: by run.
        metric: whose mean gets it.
    """

    def paced(row: Row) -> Row:
        if row.trainer == comparison.twin or (row.metric, row.label) != (metric, MEAN):
            return row
        pairs = comparison.pairs_with(row.trainer, row.amount)
        found = [(curves.get(run, ()), curves.get(twin, ())) for run, twin in pairs]
        return replace(row, pace=pace(found))

    return [paced(row) for row in rows]


def draw_convergence(
    comparison: Comparison,
    curves: Curves,
    curve: Curve,
    metric: Metric,
    looks: Mapping[str, Look],
    folder: Path,
) -> list[Path]:
    """A panel per number of labels: single runs pale, their mean strong; the paths written."""
    panels = []
    for amount in comparison.amounts:
        by_trainer = {
            trainer: [
                curves[run]
                for run in comparison.runs_with(trainer, amount).values()
                if curves.get(run)
            ]
            for trainer in looks
        }
        if any(by_trainer.values()):
            panels.append((amount, by_trainer))
    if not panels:
        return []
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = max(PANEL_WIDTH * columns, 8.2)
    foot = legend_height(list(looks.values()), width)
    height = PANEL_HEIGHT * rows + 0.65 + foot
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=0.65 / width,
        right=1 - 0.2 / width,
        top=1 - 1.0 / height,
        bottom=(foot + 0.55) / height,
        wspace=0.2,
        hspace=0.38,
    )
    first = None
    for number, (amount, by_trainer) in enumerate(panels):
        ax = first = figure.add_subplot(rows, columns, number + 1, sharey=first)
        _draw_panel(ax, by_trainer, looks)
        ax.set_title(f"{amount} labelled cases", loc="left", fontsize=11)
        if number % columns == 0:
            ax.set_ylabel(curve.name, fontsize=10)
        if number >= len(panels) - columns:
            ax.set_xlabel("epoch", fontsize=10)
    title = f"{comparison.dataset}, {comparison.configuration}\n{curve.title} over epochs"
    add_title(figure, title, 0.65 / width, 12)
    add_legend(figure, list(looks.values()), width)
    return save(figure, folder, convergence_name(metric))


def _draw_panel(
    ax: Axes, by_trainer: Mapping[str, Sequence[Sequence[float]]], looks: Mapping[str, Look]
) -> None:
    tidy(ax)
    for trainer, runs in by_trainer.items():
        look = looks[trainer]
        for values in runs:
            ax.plot(range(1, len(values) + 1), values, color=look.colour, linewidth=0.7, alpha=0.3)
        if runs:
            epochs = min(map(len, runs))
            ax.plot(
                range(1, epochs + 1),
                np.mean([values[:epochs] for values in runs], axis=0),
                color=look.colour,
                linewidth=2,
                marker=look.mark,
                markersize=5,
                markevery=max(1, epochs // 8),
            )
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
