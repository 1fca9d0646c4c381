import math
from dataclasses import replace

import pytest

from nnunetv2_pcrl.evaluation.metric import Metric
from nnunetv2_pcrl.evaluation.statistics import Difference
from nnunetv2_pcrl.evaluation.verdict import BETTER, OPEN, SINGLE, WORSE, judged

DICE, ERROR = Metric("Dice", True), Metric("Error", False)
FOUND = Difference(0.1, (0.05, 0.2), 0.01, 20, 0.1, (0.02, 0.2), 0.02, 3, 3)
NONE = (math.nan, math.nan)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, BETTER),
        ({"run_interval": (-0.01, 0.2)}, OPEN),
        ({"case_interval": (-0.01, 0.2)}, OPEN),
        ({"run_interval": (-0.2, -0.1), "case_interval": (-0.3, -0.1)}, WORSE),
        ({"run_interval": (-0.2, -0.1)}, OPEN),
        ({"num_cases": 1, "case_interval": NONE}, BETTER),
    ],
)
def test_a_verdict_needs_both_intervals_on_one_side(changes, word):
    assert judged(replace(FOUND, **changes), DICE, 0.04) == word


def test_a_verdict_needs_a_p_that_is_adjusted_for_all_that_is_tested():
    assert judged(FOUND, DICE, 0.06) == OPEN


def test_one_pair_of_runs_is_not_judged():
    assert judged(replace(FOUND, num_runs=1, run_interval=NONE), DICE, None) == SINGLE


def test_a_smaller_error_is_better():
    assert judged(FOUND, ERROR, 0.04) == WORSE
    less = replace(FOUND, run_interval=(-0.2, -0.1), case_interval=(-0.3, -0.1))
    assert judged(less, ERROR, 0.04) == BETTER
