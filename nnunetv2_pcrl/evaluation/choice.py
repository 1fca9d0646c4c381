"""Which cases of which runs are shown side by side."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from nnunetv2_pcrl.evaluation.amounts import Amount
from nnunetv2_pcrl.evaluation.comparison import Comparison, ScoresOfRuns, first_metric
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric, ScoresOfRun
from nnunetv2_pcrl.evaluation.statistics import RunKey
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.label_folds.table import LabelFold
from nnunetv2_pcrl.tasks.segmentation.ranking import best_median_worst, ranks_by_case

GAIN, LOSS = "largest gain", "largest loss"


@dataclass(frozen=True)
class ChosenRun:
    """A run whose cases are shown.

    Attributes:
        trainer: class name, without seed.
        run: the training.
        scores: of its cases.
    """

    trainer: str
    run: TrainingRun
    scores: ScoresOfRun


@dataclass(frozen=True)
class ChosenCases:
    """Cases of runs on one label fold.

    Attributes:
        amount: of labelled cases.
        label_fold: that all runs were trained on.
        metric: by which the cases were chosen.
        runs: in the order of the trainers, so the twin first if it is among them.
        cases: why each is shown, by case.
    """

    amount: Amount
    label_fold: LabelFold
    metric: Metric
    runs: tuple[ChosenRun, ...]
    cases: Mapping[str, str]


def choose_cases(
    comparison: Comparison, scores: ScoresOfRuns, amount: Amount
) -> ChosenCases | None:
    """Best, median and worst case by the mean of the trainers, and where these gain and lose most.

    The label fold is the first of those that most trainers have finished. Of a trainer's seeds on
    it, one that the twin has is taken if there is one.

    Args:
        comparison: what is compared.
        scores: of the finished runs.
        amount: of labelled cases.

    Returns:
        None where no run is finished, or no case has a value in all of them.
    """
    metric = first_metric(scores)
    found = [(fold, _finished(comparison, scores, fold)) for fold in amount.folds]
    label_fold, runs = max(found, key=lambda pair: len(pair[1]))
    values = [run.scores[metric][MEAN] for run in runs]
    shared = [
        case
        for case in (values[0] if values else ())
        if all(math.isfinite(of_run.get(case, math.nan)) for of_run in values)
    ]
    if not shared:
        return None
    means = {case: sum(of_run[case] for of_run in values) / len(values) for case in shared}
    ranks = best_median_worst(means, metric.is_more_better)
    if len(runs) > 1 and runs[0].trainer == comparison.twin:
        sign = 1 if metric.is_more_better else -1
        # Of the others over the twin, up to a factor.
        gains = {case: sign * (means[case] - values[0][case]) for case in shared}
        most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
        ranks |= {GAIN: most} if gains[most] > 0 else {}
        ranks |= {LOSS: least} if gains[least] < 0 else {}
    return ChosenCases(amount, label_fold, metric, tuple(runs), ranks_by_case(ranks))


def _finished(
    comparison: Comparison, scores: ScoresOfRuns, label_fold: LabelFold
) -> list[ChosenRun]:
    """One run of every trainer that has finished one, the twin first."""
    runs: list[ChosenRun] = []
    seeds: tuple[RunKey, ...] = ()
    others = [trainer for trainer in comparison.trainers if trainer != comparison.twin]
    for trainer in (comparison.twin, *others):
        own = {
            key: run
            for key, run in comparison.runs_of(trainer, label_fold.fold).items()
            if run in scores
        }
        if own:
            key = next((key for key in own if key in seeds), next(iter(own)))
            runs.append(ChosenRun(trainer, own[key], scores[own[key]]))
            seeds = seeds or tuple(own)
    return runs
