"""The comparison of trainers on label folds: everything that tables and figures show."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnunetv2_pcrl.evaluation.amounts import Amount
from nnunetv2_pcrl.evaluation.efficiency import LabelEfficiency, label_efficiency
from nnunetv2_pcrl.evaluation.scores import DICE, MEAN, Scores
from nnunetv2_pcrl.evaluation.statistics import (
    Difference,
    Spread,
    Values,
    difference,
    holm,
    spread,
)
from nnunetv2_pcrl.experiments.runs import Run


@dataclass(frozen=True)
class Experiment:
    """What is compared.

    Attributes:
        dataset: name.
        plans: name.
        configuration: name.
        trainers: class names.
        twin: the one that the others are compared with.
        amounts: of labelled cases.
    """

    dataset: str
    plans: str
    configuration: str
    trainers: tuple[str, ...]
    twin: str
    amounts: tuple[Amount, ...]

    def run(self, trainer: str, fold: int) -> Run:
        """One of its runs."""
        return Run(trainer, self.plans, self.configuration, fold)

    def runs(self) -> list[Run]:
        """All runs, those with the fewest labels first."""
        return [
            self.run(trainer, fold.fold)
            for amount in self.amounts
            for fold in amount.folds
            for trainer in self.trainers
        ]

    def missing_runs(self, dataset_results: Path) -> list[Run]:
        """Runs that are not trained and validated."""
        return [run for run in self.runs() if not run.is_validated(dataset_results)]

    def command(self, run: Run, dataset_results: Path) -> str:
        """What to type for the rest of a run; without its flag nnU-Net would begin it anew."""
        command = (
            f"nnUNetv2_train {self.dataset} {run.configuration} {run.fold} -tr {run.trainer} "
            f"-p {run.plans}"
        )
        return f"{command} {run.state(dataset_results).value or ''}".strip()


@dataclass(frozen=True)
class Row:
    """One trainer at one number of labels, by one metric on one label.

    Attributes:
        trainer: class name.
        amount: of labelled cases.
        metric: e.g. dice.
        label: name of a label or region, or mean.
        planned_runs: label folds of that amount.
        spread: of the trainer itself.
        difference: to the twin, where something is paired.
        holm_p: of the test over the cases, adjusted for the number of such tests (mean Dice only).
        efficiency: of the labels (Dice only).
        efficiency_interval: at both ends of the difference's interval over the runs, where there
            is one; the twin's curve is held fixed.
    """

    trainer: str
    amount: Amount
    metric: str
    label: str
    planned_runs: int
    spread: Spread
    difference: Difference | None = None
    holm_p: float | None = None
    efficiency: LabelEfficiency | None = None
    efficiency_interval: tuple[LabelEfficiency, LabelEfficiency] | None = None


# By run; missing runs are left out.
ScoresOfRuns = Mapping[Run, Scores]


def compare(experiment: Experiment, scores: ScoresOfRuns) -> list[Row]:
    """All rows, by amount, trainer, metric and label.

    Args:
        experiment: what is compared.
        scores: of the finished runs, at least one, all with the same metrics and labels.
    """
    first = next(iter(scores.values()))
    rows = [
        _row(experiment, scores, trainer, amount, metric, label)
        for amount in experiment.amounts
        for trainer in experiment.trainers
        for metric, labels in first.items()
        for label in labels
    ]
    return _with_holm([_with_efficiency(row, rows, experiment.twin) for row in rows])


def values_of(
    experiment: Experiment,
    scores: ScoresOfRuns,
    trainer: str,
    amount: Amount,
    metric: str,
    label: str,
) -> Values:
    """Values of a trainer by label fold and case."""
    runs = {fold.fold: experiment.run(trainer, fold.fold) for fold in amount.folds}
    return {
        (fold, case): value
        for fold, run in runs.items()
        if run in scores
        for case, value in scores[run][metric][label].items()
    }


def _row(
    experiment: Experiment,
    scores: ScoresOfRuns,
    trainer: str,
    amount: Amount,
    metric: str,
    label: str,
) -> Row:
    values, twin = (
        values_of(experiment, scores, name, amount, metric, label)
        for name in (trainer, experiment.twin)
    )
    paired = None
    if trainer != experiment.twin:
        paired = difference(values, twin, more_is_better=metric == DICE)
    return Row(trainer, amount, metric, label, len(amount.folds), spread(values), paired)


def _with_efficiency(row: Row, rows: Sequence[Row], twin: str) -> Row:
    """Only where a paired difference says how far above the twin's curve the trainer is."""
    if row.metric != DICE or row.difference is None:
        return row
    curve = [
        r
        for r in rows
        if (r.trainer, r.metric, r.label) == (twin, DICE, row.label) and r.spread.num_runs
    ]

    def at(difference: float) -> LabelEfficiency:
        # Through the difference, so that a missing run of one of them moves neither point.
        return label_efficiency(
            difference,
            row.amount.num_cases,
            [r.spread.mean for r in curve],
            [r.amount.num_cases for r in curve],
        )

    low, high = row.difference.run_interval
    return replace(
        row,
        efficiency=at(row.difference.mean),
        efficiency_interval=None if math.isnan(low) else (at(low), at(high)),
    )


def _with_holm(rows: Sequence[Row]) -> list[Row]:
    tested = [
        i for i, r in enumerate(rows) if r.metric == DICE and r.label == MEAN and r.difference
    ]
    adjusted = holm([rows[i].difference.p_value for i in tested])
    by_row = dict(zip(tested, adjusted, strict=True))
    return [replace(row, holm_p=by_row.get(i)) for i, row in enumerate(rows)]
