"""Dice over number of labels, and case by case against the twin."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from nnunetv2_pcrl.evaluation.comparison import Experiment, Row, ScoresOfRuns, values_of
from nnunetv2_pcrl.evaluation.looks import Look, add_legend, add_title, legend_height, save, tidy
from nnunetv2_pcrl.evaluation.scores import DICE, MEAN
from nnunetv2_pcrl.evaluation.statistics import case_means, paired_values, run_means

DICE_OVER_LABELS, CASES_AGAINST_TWIN = "dice_over_labels", "cases_against_twin"
# Trainers stand beside one another within this part of the gap between two numbers of labels.
DODGE = 0.5
WIDTH = 12.0
HEIGHT = 4.85
PANEL = 2.7


def draw_dice_over_labels(
    experiment: Experiment,
    rows: Sequence[Row],
    scores: ScoresOfRuns,
    looks: Mapping[str, Look],
    folder: Path,
) -> list[Path]:
    """Mean Dice of every trainer, and its paired difference to the twin; the paths written."""
    trainers = [t for t in looks if any(r.trainer == t and r.spread.num_runs for r in rows)]
    others = [trainer for trainer in trainers if trainer != experiment.twin]
    foot = legend_height(list(looks.values()), WIDTH)
    height = HEIGHT + foot
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots_adjust(
        left=0.07, right=0.985, top=1 - 1.0 / height, bottom=(0.6 + foot) / height
    )
    axes = [figure.add_subplot(1, 1 + bool(others), n + 1) for n in range(1 + bool(others))]
    places = _places(experiment, trainers)
    wanted = [row for row in rows if (row.metric, row.label) == (DICE, MEAN)]
    for trainer in trainers:
        mine = [row for row in wanted if row.trainer == trainer and row.spread.num_runs]
        single = [
            run_means(_finite(values_of(experiment, scores, trainer, row.amount, DICE, MEAN)))
            for row in mine
        ]
        bars = [(row.spread.run_std,) * 2 for row in mine]
        means = [row.spread.mean for row in mine]
        xs = [places[trainer, row.amount] for row in mine]
        complete = [row.spread.num_runs == row.planned_runs for row in mine]
        _draw_line(axes[0], looks[trainer], xs, means, bars, single, complete)
    axes[0].set_title("mean Dice; bars: standard deviation of the runs", loc="left", fontsize=11)
    if others:
        axes[1].axhline(0, color=looks[experiment.twin].colour, linewidth=1.2)
        for trainer in others:
            mine = [row for row in wanted if row.trainer == trainer and row.difference]
            single = [run_means(_paired(experiment, scores, row)) for row in mine]
            means = [row.difference.mean for row in mine]
            bars = [
                (row.difference.mean - low, high - row.difference.mean)
                for row in mine
                for low, high in [row.difference.case_interval]
            ]
            xs = [places[trainer, row.amount] for row in mine]
            complete = [row.difference.num_runs == row.planned_runs for row in mine]
            _draw_line(axes[1], looks[trainer], xs, means, bars, single, complete)
        title = "difference to the twin; bars: 95 % interval over cases, these runs"
        axes[1].set_title(title, loc="left", fontsize=11)
    for ax in axes:
        _label_axis(ax, experiment)
    title = (
        f"{experiment.dataset}, {experiment.configuration}\n"
        f"Dice over number of labels (small points: single runs; hollow: runs are missing)"
    )
    add_title(figure, title, 0.07, 13)
    add_legend(figure, list(looks.values()), WIDTH)
    return save(figure, folder, DICE_OVER_LABELS)


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


def _label_axis(ax: Axes, experiment: Experiment) -> None:
    tidy(ax)
    ax.set_xscale("log")
    amounts = experiment.amounts
    ax.xaxis.set_major_locator(FixedLocator([a.num_cases for a in amounts]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticklabels([str(amount) for amount in amounts])
    ends = amounts[0].num_cases, amounts[-1].num_cases
    margin = math.exp(0.6 * _smallest_gap(experiment))
    ax.set_xlim(ends[0] / margin, ends[1] * margin)
    ax.set_xlabel("labelled training cases (logarithmic)", fontsize=10)


def _places(experiment: Experiment, trainers: Sequence[str]) -> dict:
    """Where trainers stand, beside one another around their number of labels."""
    step = DODGE * _smallest_gap(experiment) / max(1, len(trainers))
    return {
        (trainer, amount): amount.num_cases * math.exp(step * (n - (len(trainers) - 1) / 2))
        for n, trainer in enumerate(trainers)
        for amount in experiment.amounts
    }


def _smallest_gap(experiment: Experiment) -> float:
    """Between neighbouring numbers of labels, in logarithms; not above that of a doubling."""
    logs = [math.log(amount.num_cases) for amount in experiment.amounts]
    return min([math.log(2), *(b - a for a, b in zip(logs, logs[1:], strict=False))])


def draw_cases_against_twin(
    experiment: Experiment, scores: ScoresOfRuns, looks: Mapping[str, Look], folder: Path
) -> list[Path]:
    """A panel per trainer and number of labels, a point per case; the paths written."""
    panels = {}
    for trainer in looks:
        for amount in experiment.amounts:
            if trainer != experiment.twin:
                pairs = _case_pairs(experiment, scores, trainer, amount)
                if len(pairs):
                    panels[trainer, amount] = pairs
    if not panels:
        return []
    trainers = [t for t in looks if any(t == key[0] for key in panels)]
    amounts = [a for a in experiment.amounts if any(a == key[1] for key in panels)]
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
    low = max(0.0, math.floor(10 * min(pairs.min() for pairs in panels.values())) / 10)
    high = min(1.0, math.ceil(10 * max(pairs.max() for pairs in panels.values())) / 10)
    for row, trainer in enumerate(trainers):
        for column, amount in enumerate(amounts):
            ax = figure.add_subplot(len(trainers), len(amounts), row * len(amounts) + column + 1)
            if (trainer, amount) not in panels:
                ax.text(0.5, 0.5, "missing", ha="center", transform=ax.transAxes, color="#555555")
                ax.axis("off")
                continue
            _draw_pairs(ax, panels[trainer, amount], looks[trainer], amount, (low, high))
            if column == 0:
                ax.set_ylabel(looks[trainer].name.replace("_", "\n_"), fontsize=9)
            if row == len(trainers) - 1:
                ax.set_xlabel(looks[experiment.twin].name.replace("_", "\n_"), fontsize=9)
    title = (
        f"{experiment.dataset}, {experiment.configuration}\n"
        f"Dice of every validation case, mean of the runs\n"
        f"above the diagonal: better than {looks[experiment.twin].name}"
    )
    add_title(figure, title, 0.15 / width, 11, top=0.1)
    return save(figure, folder, CASES_AGAINST_TWIN)


def _draw_pairs(
    ax: Axes, pairs: np.ndarray, look: Look, amount: object, limits: tuple[float, float]
) -> None:
    tidy(ax)
    ax.plot(limits, limits, color="#888888", linewidth=1, zorder=1)
    ax.scatter(pairs[:, 0], pairs[:, 1], s=16, color=look.colour, alpha=0.6, linewidths=0, zorder=2)
    margin = 0.02 * (limits[1] - limits[0])
    ax.set_xlim(limits[0] - margin, limits[1] + margin)
    ax.set_ylim(limits[0] - margin, limits[1] + margin)
    ax.set_box_aspect(1)
    better = int((pairs[:, 1] > pairs[:, 0]).sum())
    ax.set_title(f"{amount} labelled: better in {better} of {len(pairs)}", fontsize=9, loc="left")
    ax.tick_params(labelsize=8)


def _case_pairs(
    experiment: Experiment, scores: ScoresOfRuns, trainer: str, amount: object
) -> np.ndarray:
    """Dice of twin and trainer per case, shape [N, 2], from runs that both have finished."""
    both = [
        values_of(experiment, scores, name, amount, DICE, MEAN)
        for name in (experiment.twin, trainer)
    ]
    shared = paired_values(both[1], both[0])
    twin, own = (case_means({key: values[key] for key in shared}) for values in both)
    return np.array([(twin[case], own[case]) for case in own])


def _finite(values: Mapping) -> dict:
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _paired(experiment: Experiment, scores: ScoresOfRuns, row: Row) -> dict:
    both = [
        values_of(experiment, scores, name, row.amount, row.metric, row.label)
        for name in (row.trainer, experiment.twin)
    ]
    return paired_values(*both)
