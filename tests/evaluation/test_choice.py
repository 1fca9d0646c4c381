import math

import pytest

from nnunetv2_pcrl.evaluation.amounts import amounts_of
from nnunetv2_pcrl.evaluation.choice import choose_cases
from nnunetv2_pcrl.evaluation.comparison import Comparison
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric
from nnunetv2_pcrl.label_folds.table import LabelFold

FOLDS = [LabelFold(5, 0, 3, 0.1, 0), LabelFold(6, 0, 3, 0.1, 1)]
COMPARISON = Comparison("D", "P", "2d", ("Twin", "Own"), "Twin", amounts_of(FOLDS))
(AMOUNT,) = COMPARISON.amounts
DICE, ERROR = Metric("Dice", True), Metric("Error", False)


def scores_of(values, metric: Metric = DICE) -> dict:
    """By trainer and label fold: values by case."""
    return {
        COMPARISON.runs_of(trainer, fold)[fold, None]: {metric: {MEAN: by_case}}
        for (trainer, fold), by_case in values.items()
    }


def test_cases_are_ranked_by_the_mean_of_all_and_by_what_is_gained():
    twin = {"a": 0.9, "b": 0.5, "c": 0.6, "d": 0.2, "e": 0.55}
    own = {"a": 0.9, "b": 0.8, "c": 0.5, "d": 0.2, "e": 0.6}
    chosen = choose_cases(COMPARISON, scores_of({("Twin", 6): twin, ("Own", 6): own}), AMOUNT)
    assert chosen.label_fold == FOLDS[1]
    assert [run.trainer for run in chosen.runs] == ["Twin", "Own"]
    assert chosen.cases == {
        "a": "best",
        "e": "median",
        "d": "worst",
        "b": "largest gain",
        "c": "largest loss",
    }


def test_where_less_is_better_best_and_gain_are_the_smallest():
    twin, own = {"a": 1.0, "b": 5.0, "c": 3.0}, {"a": 1.0, "b": 9.0, "c": 2.0}
    scores = scores_of({("Twin", 5): twin, ("Own", 5): own}, ERROR)
    assert choose_cases(COMPARISON, scores, AMOUNT).cases == {
        "a": "best",
        "c": "median, largest gain",
        "b": "worst, largest loss",
    }


def test_the_label_fold_that_most_have_finished_is_shown():
    values = {("Twin", 5): {"a": 0.1}, ("Twin", 6): {"a": 0.2}, ("Own", 6): {"a": 0.2}}
    chosen = choose_cases(COMPARISON, scores_of(values), AMOUNT)
    assert chosen.label_fold.fold == 6
    # Nobody gains or loses.
    assert chosen.cases == {"a": "best, median, worst"}
    alone = choose_cases(COMPARISON, scores_of({("Own", 5): {"a": 0.1}}), AMOUNT)
    assert [run.trainer for run in alone.runs] == ["Own"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_cases_without_a_value_are_not_shown(value):
    values = {("Twin", 5): {"a": value, "b": 0.5}, ("Own", 5): {"a": 0.9, "b": 0.5}}
    assert choose_cases(COMPARISON, scores_of(values), AMOUNT).cases == {"b": "best, median, worst"}
    assert choose_cases(COMPARISON, scores_of({("Twin", 5): {"a": value}}), AMOUNT) is None
    unfinished = amounts_of([LabelFold(7, 0, 9, 0.3, 0)])
    assert choose_cases(COMPARISON, scores_of(values), *unfinished) is None
