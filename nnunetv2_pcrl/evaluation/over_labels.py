"""The first metric over number of labels, and its difference to the twin."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from nnunetv2_pcrl.evaluation.comparison import (
    Comparison,
    Row,
    ScoresOfRuns,
    first_metric,
    values_of,
)
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric
from nnunetv2_pcrl.evaluation.statistics import Values, paired_values, run_means
from nnunetv2_pcrl.monitoring.looks import Look, add_legend, add_title, legend_height, save, tidy

# Trainers stand beside one another within this part of the gap between two numbers of labels.
DODGE = 0.5
WIDTH = 12.0
HEIGHT = 4.85


def over_labels_name(metric: Metric) -> str:
    """Of the picture's files, without their ending."""
    return f"{metric.key}_over_labels"


def draw_over_labels(
    comparison: Comparison,
    rows: Sequence[Row],
    scores: ScoresOfRuns,
    looks: Mapping[str, Look],
    folder: Path,
) -> list[Path]:
    """Mean of every trainer, and its paired difference to the twin; the paths written."""
    metric = first_metric(scores)
    trainers = [t for t in looks if any(r.trainer == t and r.spread.num_runs for r in rows)]
    others = [trainer for trainer in trainers if trainer != comparison.twin]
    foot = legend_height(list(looks.values()), WIDTH)
    height = HEIGHT + foot
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots_adjust(
        left=0.07, right=0.985, top=1 - 1.0 / height, bottom=(0.6 + foot) / height
    )
    axes = [figure.add_subplot(1, 1 + bool(others), n + 1) for n in range(1 + bool(others))]
    places = _places(comparison, trainers)
    wanted = [row for row in rows if (row.metric, row.label) == (metric, MEAN)]
    for trainer in trainers:
        mine = [row for row in wanted if row.trainer == trainer and row.spread.num_runs]
        single = [
            run_means(values_of(comparison, scores, trainer, row.amount, metric, MEAN))
            for row in mine
        ]
        bars = [(row.spread.run_std,) * 2 for row in mine]
        means = [row.spread.mean for row in mine]
        xs = [places[trainer, row.amount] for row in mine]
        complete = [row.spread.num_runs == row.planned_runs for row in mine]
        _draw_line(axes[0], looks[trainer], xs, means, bars, single, complete)
    title = f"mean {metric.name}; bars: standard deviation of the runs"
    axes[0].set_title(title, loc="left", fontsize=11)
    if others:
        _draw_differences(comparison, wanted, scores, looks, others, places, axes[1])
    for ax in axes:
        _label_axis(ax, comparison)
    axes[0].set_ylabel(metric.title, fontsize=10)
    title = (
        f"{comparison.dataset}, {comparison.configuration}\n"
        f"{metric.title} over number of labels ({metric.better} is better; small points: single "
        f"runs; hollow: runs are missing)"
    )
    add_title(figure, title, 0.07, 13)
    add_legend(figure, list(looks.values()), WIDTH)
    return save(figure, folder, over_labels_name(metric))


def _draw_differences(
    comparison: Comparison,
    rows: Sequence[Row],
    scores: ScoresOfRuns,
    looks: Mapping[str, Look],
    trainers: Sequence[str],
    places: Mapping,
    ax: Axes,
) -> None:
    ax.axhline(0, color=looks[comparison.twin].colour, linewidth=1.2)
    shown = [0.0]
    for trainer in trainers:
        compared = [
            (row, row.difference) for row in rows if row.trainer == trainer and row.difference
        ]
        mine = [row for row, _ in compared]
        differences = [difference for _, difference in compared]
        single = [run_means(_paired(comparison, scores, row)) for row in mine]
        means = [difference.mean for difference in differences]
        bars = [
            (difference.mean - low, high - difference.mean)
            for difference in differences
            for low, high in [difference.case_interval]
        ]
        xs = [places[trainer, row.amount] for row in mine]
        complete = [difference.num_runs == row.planned_runs for row, difference in compared]
        _draw_line(ax, looks[trainer], xs, means, bars, single, complete)
        for x, difference in zip(xs, differences, strict=True):
            low, high = difference.run_interval
            if math.isfinite(low):
                ax.vlines(x, low, high, color=looks[trainer].colour, linewidth=6, alpha=0.22)
        shown += [value for runs in single for value in runs.values()]
        shown += [
            end
            for difference in differences
            for end in difference.case_interval
            if math.isfinite(end)
        ]
        shown += [
            end
            for difference in differences
            for end in difference.run_interval
            if difference.num_runs > 2 and math.isfinite(end)
        ]
    # The interval of two runs is so wide that nothing else could be seen beside it.
    margin = 0.06 * (max(shown) - min(shown) or 1)
    ax.set_ylim(min(shown) - margin, max(shown) + margin)
    title = "difference to the twin; 95 % over cases (thin), over runs (broad)"
    ax.set_title(title, loc="left", fontsize=11)


def _draw_line(
    ax: Axes, look: Look, xs: list, means: list, bars: list, single: list, complete: list
) -> None:
    lower, upper = ([0 if math.isnan(b[n]) else b[n] for b in bars] for n in (0, 1))
    ax.errorbar(
        xs,
        means,
        yerr=[lower, upper],
        color=look.colour,
        marker=look.mark,
        markersize=6,
        linewidth=1.6,
        elinewidth=1.3,
        capsize=3,
    )
    hollow = [(x, mean) for x, mean, is_all in zip(xs, means, complete, strict=True) if not is_all]
    for x, mean in hollow:
        # Above the line's own marks.
        ax.plot(x, mean, look.mark, color=look.colour, ms=6, markerfacecolor="white", zorder=3)
    for x, runs in zip(xs, single, strict=True):
        ax.scatter(
            [x] * len(runs), runs.values(), s=11, color=look.colour, alpha=0.45, linewidths=0
        )


def _label_axis(ax: Axes, comparison: Comparison) -> None:
    tidy(ax)
    ax.set_xscale("log")
    amounts = comparison.amounts
    ax.xaxis.set_major_locator(FixedLocator([a.num_cases for a in amounts]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticklabels([str(amount) for amount in amounts])
    ends = amounts[0].num_cases, amounts[-1].num_cases
    margin = math.exp(0.6 * _smallest_gap(comparison))
    ax.set_xlim(ends[0] / margin, ends[1] * margin)
    ax.set_xlabel("labelled training cases (logarithmic)", fontsize=10)


def _places(comparison: Comparison, trainers: Sequence[str]) -> dict:
    """Where trainers stand, beside one another around their number of labels."""
    step = DODGE * _smallest_gap(comparison) / max(1, len(trainers))
    return {
        (trainer, amount): amount.num_cases * math.exp(step * (n - (len(trainers) - 1) / 2))
        for n, trainer in enumerate(trainers)
        for amount in comparison.amounts
    }


def _smallest_gap(comparison: Comparison) -> float:
    """Between neighbouring numbers of labels, in logarithms; not above that of a doubling."""
    logs = [math.log(amount.num_cases) for amount in comparison.amounts]
    return min([math.log(2), *(b - a for a, b in zip(logs, logs[1:], strict=False))])


def _paired(comparison: Comparison, scores: ScoresOfRuns, row: Row) -> Values:
    both = [
        values_of(comparison, scores, name, row.amount, row.metric, row.label)
        for name in (row.trainer, comparison.twin)
    ]
    return paired_values(*both)
