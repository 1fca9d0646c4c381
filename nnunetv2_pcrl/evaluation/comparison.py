"""The comparison of trainers on label folds: everything that tables and figures show."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from nnunetv2_pcrl.evaluation.amounts import Amount
from nnunetv2_pcrl.evaluation.efficiency import LabelEfficiency, label_efficiency
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric, ScoresOfRun
from nnunetv2_pcrl.evaluation.pace import Pace
from nnunetv2_pcrl.evaluation.statistics import (
    Difference,
    RunKey,
    Spread,
    Values,
    difference,
    holm,
    spread,
)
from nnunetv2_pcrl.experiments.commands import training_command
from nnunetv2_pcrl.experiments.runs import TrainingRun


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        dataset: name.
        plans: name.
        configuration: name.
        trainers: class names, without seeds.
        twin: the one that the others are compared with.
        amounts: of labelled cases.
        seeded: class names of a trainer on a label fold by seed, where its runs carry seeds; None
            is the seed of a run that carries none.
    """

    dataset: str
    plans: str
    configuration: str
    trainers: tuple[str, ...]
    twin: str
    amounts: tuple[Amount, ...]
    seeded: Mapping[tuple[str, int], Mapping[int | None, str]] = field(default_factory=dict)

    def runs_of(self, trainer: str, fold: int) -> dict[RunKey, TrainingRun]:
        """Runs of a trainer on a label fold, by fold and seed."""
        names = self.seeded.get((trainer, fold), {None: trainer})
        return {
            (fold, seed): TrainingRun(name, self.plans, self.configuration, fold)
            for seed, name in names.items()
        }

    def runs_with(self, trainer: str, amount: Amount) -> dict[RunKey, TrainingRun]:
        """Runs of a trainer with a number of labels."""
        return {
            key: run
            for fold in amount.folds
            for key, run in self.runs_of(trainer, fold.fold).items()
        }

    def pairs_with(self, trainer: str, amount: Amount) -> list[tuple[TrainingRun, TrainingRun]]:
        """Runs of a trainer with a number of labels, each with the twin's of its fold and seed.

        On a label fold where one side has no seeds all runs of both sides are paired.
        """
        pairs = []
        for fold in amount.folds:
            runs, twins = (self.runs_of(name, fold.fold) for name in (trainer, self.twin))
            shared = runs.keys() & twins.keys()
            if not shared and (fold.fold, None) in runs.keys() | twins.keys():
                pairs += list(product(runs.values(), twins.values()))
            pairs += [(run, twins[key]) for key, run in runs.items() if key in shared]
        return pairs

    def runs(self) -> list[TrainingRun]:
        """All runs, those with the fewest labels first."""
        return [
            run
            for amount in self.amounts
            for fold in amount.folds
            for trainer in self.trainers
            for run in self.runs_of(trainer, fold.fold).values()
        ]

    def missing_runs(self, dataset_results: Path) -> list[TrainingRun]:
        """Runs that are not trained and validated."""
        return [run for run in self.runs() if not run.is_validated(dataset_results)]

    def command(self, run: TrainingRun, dataset_results: Path, weights: Path | None = None) -> str:
        """What to type for the rest of a run.

        Args:
            run: that is not finished.
            dataset_results: the data set's folder in nnUNet_results.
            weights: that it starts from, if it has not begun.
        """
        state = run.state(dataset_results)
        return training_command(self.dataset, run, state, weights).for_shell()


@dataclass(frozen=True)
class Row:
    """One trainer at one number of labels, by one metric on one label.

    Attributes:
        trainer: class name, without seed.
        amount: of labelled cases.
        metric: that was measured.
        label: name of a label, region or class, or mean.
        planned_runs: label folds of that amount, times the seeds.
        spread: of the trainer itself.
        difference: to the twin, where something is paired.
        holm_p: of the test over the cases, adjusted for the number of such tests (mean of the
            first metric only).
        run_holm_p: the same of the test over the runs.
        efficiency: of the labels (first metric only).
        efficiency_interval: at both ends of the difference's interval over the runs, where there
            is one; the twin's curve is held fixed.
        pace: when its curve over the epochs reaches the end of the twin's (mean of the first metric
            only).
    """

    trainer: str
    amount: Amount
    metric: Metric
    label: str
    planned_runs: int
    spread: Spread
    difference: Difference | None = None
    holm_p: float | None = None
    run_holm_p: float | None = None
    efficiency: LabelEfficiency | None = None
    efficiency_interval: tuple[LabelEfficiency, LabelEfficiency] | None = None
    pace: Pace | None = None


# By run; missing runs are left out.
ScoresOfRuns = Mapping[TrainingRun, ScoresOfRun]


def labels_by_metric(scores: ScoresOfRuns) -> dict[Metric, tuple[str, ...]]:
    """Metrics, the one that is tested first, and what each was measured on."""
    first = next(iter(scores.values()))
    return {metric: tuple(labels) for metric, labels in first.items()}


def without_empty_metrics(scores: ScoresOfRuns) -> ScoresOfRuns:
    """Without the metrics that no run has a value of; the first one stays."""
    first, *others = labels_by_metric(scores)
    kept = {first} | {
        metric
        for metric in others
        for of_run in scores.values()
        for values in of_run[metric].values()
        if not all(map(math.isnan, values.values()))
    }
    return {
        run: {metric: labels for metric, labels in of_run.items() if metric in kept}
        for run, of_run in scores.items()
    }


def first_metric(scores: ScoresOfRuns) -> Metric:
    """The metric that figures show and that is tested."""
    return next(iter(labels_by_metric(scores)))


def compare(comparison: Comparison, scores: ScoresOfRuns) -> list[Row]:
    """All rows, by amount, trainer, metric and label.

    Args:
        comparison: what is compared.
        scores: of the finished runs, at least one, all with the same metrics and labels.
    """
    rows = [
        _row(comparison, scores, trainer, amount, metric, label)
        for amount in comparison.amounts
        for trainer in comparison.trainers
        for metric, labels in labels_by_metric(scores).items()
        for label in labels
    ]
    metric = first_metric(scores)
    rows = [_with_efficiency(row, rows, comparison.twin, metric) for row in rows]
    return _with_holm(rows, metric)


def values_of(
    comparison: Comparison,
    scores: ScoresOfRuns,
    trainer: str,
    amount: Amount,
    metric: Metric,
    label: str,
) -> Values:
    """Values of a trainer by run and case."""
    return {
        (key, case): value
        for key, run in comparison.runs_with(trainer, amount).items()
        if run in scores
        for case, value in scores[run][metric][label].items()
    }


def _row(
    comparison: Comparison,
    scores: ScoresOfRuns,
    trainer: str,
    amount: Amount,
    metric: Metric,
    label: str,
) -> Row:
    values, twin = (
        values_of(comparison, scores, name, amount, metric, label)
        for name in (trainer, comparison.twin)
    )
    paired = None
    if trainer != comparison.twin:
        paired = difference(values, twin, metric.is_more_better)
    num_planned = len(comparison.runs_with(trainer, amount))
    return Row(trainer, amount, metric, label, num_planned, spread(values), paired)


def _with_efficiency(row: Row, rows: Sequence[Row], twin: str, metric: Metric) -> Row:
    """Only where a paired difference says how far above the twin's curve the trainer is."""
    if row.metric != metric or row.difference is None:
        return row
    curve = [
        r
        for r in rows
        if (r.trainer, r.metric, r.label) == (twin, metric, row.label) and r.spread.num_runs
    ]
    sign = 1 if metric.is_more_better else -1

    def at(difference: float) -> LabelEfficiency:
        # Through the difference, so that a missing run of one of them moves neither point.
        return label_efficiency(
            sign * difference,
            row.amount.num_cases,
            [sign * r.spread.mean for r in curve],
            [r.amount.num_cases for r in curve],
        )

    # The worse end first.
    low, high = row.difference.run_interval[::sign]
    return replace(
        row,
        efficiency=at(row.difference.mean),
        efficiency_interval=None if math.isnan(low) else (at(low), at(high)),
    )


def _with_holm(rows: Sequence[Row], metric: Metric) -> list[Row]:
    found = {
        i: row.difference
        for i, row in enumerate(rows)
        if (row.metric, row.label) == (metric, MEAN) and row.difference
    }
    over_cases = _adjusted({i: pair.p_value for i, pair in found.items()})
    over_runs = _adjusted({i: pair.run_p_value for i, pair in found.items()})
    return [
        replace(row, holm_p=over_cases.get(i), run_holm_p=over_runs.get(i))
        for i, row in enumerate(rows)
    ]


def _adjusted(p_values: Mapping[int, float]) -> dict[int, float]:
    """By Holm, for the number of those that are not NaN; others are left out."""
    tested = {i: value for i, value in p_values.items() if not math.isnan(value)}
    return dict(zip(tested, holm(list(tested.values())), strict=True))
