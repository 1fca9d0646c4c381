"""The first metric case by case against the twin."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnunetv2_pcrl.evaluation.amounts import Amount
from nnunetv2_pcrl.evaluation.comparison import (
    Comparison,
    ScoresOfRuns,
    first_metric,
    values_of,
)
from nnunetv2_pcrl.evaluation.metric import ALL_CASES, MEAN, Metric
from nnunetv2_pcrl.evaluation.statistics import case_means, on_shared_runs
from nnunetv2_pcrl.monitoring.looks import Look, add_title, save, tidy

CASES_AGAINST_TWIN = "cases_against_twin"
# Inches.
PANEL = 2.7


def draw_cases_against_twin(
    comparison: Comparison, scores: ScoresOfRuns, looks: Mapping[str, Look], folder: Path
) -> list[Path]:
    """A panel per trainer and number of labels, a point per case; the paths written."""
    metric = first_metric(scores)
    panels = {}
    for trainer in looks:
        for amount in comparison.amounts:
            if trainer != comparison.twin:
                pairs = _case_pairs(comparison, scores, trainer, amount, metric)
                if len(pairs):
                    panels[trainer, amount] = pairs
    if not panels:
        return []
    trainers = [t for t in looks if any(t == key[0] for key in panels)]
    amounts = [a for a in comparison.amounts if any(a == key[1] for key in panels)]
    width, height = PANEL * len(amounts) + 1.0, PANEL * len(trainers) + 1.3
    width = max(width, 7.5)
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=0.95 / width,
        right=1 - 0.15 / width,
        top=1 - 1.05 / height,
        bottom=0.65 / height,
        wspace=0.28,
        hspace=0.32,
    )
    limits = _limits(list(panels.values()))
    for row, trainer in enumerate(trainers):
        for column, amount in enumerate(amounts):
            ax = figure.add_subplot(len(trainers), len(amounts), row * len(amounts) + column + 1)
            if (trainer, amount) not in panels:
                ax.text(0.5, 0.5, "missing", ha="center", transform=ax.transAxes, color="#555555")
                ax.axis("off")
                continue
            _draw_pairs(ax, panels[trainer, amount], looks[trainer], amount, metric, limits)
            if column == 0:
                ax.set_ylabel(looks[trainer].name.replace("_", "\n_"), fontsize=9)
            if row == len(trainers) - 1:
                ax.set_xlabel(looks[comparison.twin].name.replace("_", "\n_"), fontsize=9)
    side = "above" if metric.is_more_better else "below"
    title = (
        f"{comparison.dataset}, {comparison.configuration}\n"
        f"{metric.title} of every validation case, mean of the runs\n"
        f"{side} the diagonal: better than {looks[comparison.twin].name}"
    )
    add_title(figure, title, 0.15 / width, 11, top=0.1)
    return save(figure, folder, CASES_AGAINST_TWIN)


def _limits(pairs: Sequence[np.ndarray]) -> tuple[float, float]:
    """Of both axes, round: of parts of one in tenths, of larger numbers by their size."""
    low, high = min(p.min() for p in pairs), max(p.max() for p in pairs)
    step = 0.1 if high <= 1 else 10 ** math.floor(math.log10(high))
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    return low, high if high > low else low + step


def _draw_pairs(
    ax: Axes,
    pairs: np.ndarray,
    look: Look,
    amount: Amount,
    metric: Metric,
    limits: tuple[float, float],
) -> None:
    tidy(ax)
    ax.plot(limits, limits, color="#888888", linewidth=1, zorder=1)
    ax.scatter(pairs[:, 0], pairs[:, 1], s=16, color=look.colour, alpha=0.6, linewidths=0, zorder=2)
    margin = 0.02 * (limits[1] - limits[0])
    ax.set_xlim(limits[0] - margin, limits[1] + margin)
    ax.set_ylim(limits[0] - margin, limits[1] + margin)
    ax.set_box_aspect(1)
    sign = 1 if metric.is_more_better else -1
    better = int((sign * (pairs[:, 1] - pairs[:, 0]) > 0).sum())
    ax.set_title(f"{amount} labelled: better in {better} of {len(pairs)}", fontsize=9, loc="left")
    ax.tick_params(labelsize=8)


def _case_pairs(
    comparison: Comparison, scores: ScoresOfRuns, trainer: str, amount: Amount, metric: Metric
) -> np.ndarray:
    """Values of twin and trainer per case, shape [N, 2], from runs that both have finished."""
    both = [
        values_of(comparison, scores, name, amount, metric, MEAN)
        for name in (comparison.twin, trainer)
    ]
    twin, own = map(case_means, on_shared_runs(*both))
    return np.array([(twin[case], own[case]) for case in own if case != ALL_CASES])
