import math

import pytest

from nnunetv2_pcrl.evaluation.efficiency import label_efficiency

DICE, CASES = [0.5, 0.7, 0.9], [5, 20, 80]


def test_the_twins_curve_is_linear_in_the_logarithm_of_the_cases():
    # Half way from 0.5 to 0.7: the geometric mean of 5 and 20.
    found = label_efficiency(0.1, 5, DICE, CASES)
    assert (found.twin_cases, found.factor, found.bound) == (
        pytest.approx(10),
        pytest.approx(2),
        "",
    )
    # A quarter of the way from 20 to 80.
    assert label_efficiency(0.05, 20, DICE, CASES).factor == pytest.approx(math.sqrt(2))
    assert label_efficiency(-0.1, 20, DICE, CASES).factor == pytest.approx(0.5)


def test_beyond_the_twins_curve_there_are_bounds_only():
    assert str(label_efficiency(0.25, 20, DICE, CASES)) == ">= 4.00"
    assert str(label_efficiency(-0.3, 20, DICE, CASES)) == "<= 0.25"
    assert str(label_efficiency(0.1, 5, [0.4], [5])) == ">= 1.00"


def test_a_curve_that_falls_is_made_to_rise():
    # 0.8 and 0.6 become 0.7 twice: half way to the first of them.
    found = label_efficiency(0.1, 5, [0.5, 0.8, 0.6], [5, 20, 80])
    assert found.twin_cases == pytest.approx(10)
    assert label_efficiency(0.25, 5, [0.5, 0.8, 0.6], [5, 20, 80]).bound == ">="


@pytest.mark.parametrize("dice", [DICE, [0.5, 0.8, 0.6], [0.5, 0.7, 0.7], [0.9, 0.7, 0.5], [0.4]])
def test_what_equals_its_twin_is_worth_the_labels_that_it_was_given(dice):
    for cases in CASES[: len(dice)]:
        assert str(label_efficiency(0, cases, dice, CASES[: len(dice)])) == "1.00"
