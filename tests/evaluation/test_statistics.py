import math

import numpy as np
import pytest
from scipy import stats

from nnunetv2_pcrl.evaluation.statistics import (
    bootstrap_interval,
    difference,
    holm,
    signed_rank_test,
    spread,
    t_interval,
    t_test,
)

NAN, INF = math.nan, math.inf


def run(fold: int, seed: int | None = None) -> tuple[int, int | None]:
    return fold, seed


def test_a_mean_is_over_cases_of_the_means_over_runs():
    # Case a: (0.2 + 0.4) / 2, case b: 0.9 in one run only.
    found = spread({(run(5), "a"): 0.2, (run(6), "a"): 0.4, (run(5), "b"): 0.9, (run(6), "b"): NAN})
    assert found.mean == pytest.approx((0.3 + 0.9) / 2)
    # Runs: (0.2 + 0.9) / 2 = 0.55 and 0.4.
    assert found.run_std == pytest.approx(0.15 / math.sqrt(2))
    assert (found.num_runs, found.num_cases, found.num_nan, found.num_infinite) == (2, 2, 1, 0)


def test_what_has_no_distance_is_counted_and_is_not_zero():
    found = spread({(run(5), "a"): 4.0, (run(5), "b"): INF, (run(5), "c"): NAN})
    assert found.mean == 4
    assert (found.num_cases, found.num_nan, found.num_infinite) == (1, 1, 1)
    assert math.isnan(found.run_std)
    assert math.isnan(spread({(run(5), "a"): INF}).mean)


def test_a_paired_difference_by_hand():
    twin = {(run(5), "a"): 0.5, (run(6), "a"): 0.6, (run(5), "b"): 0.7, (run(6), "b"): 0.4}
    own = {(run(5), "a"): 0.7, (run(6), "a"): 0.6, (run(5), "b"): 0.8, (run(6), "b"): 0.7}
    found = difference(own, twin)
    # Cases: (0.2 + 0) / 2 and (0.1 + 0.3) / 2; runs: (0.2 + 0.1) / 2 and (0 + 0.3) / 2.
    assert found.mean == pytest.approx(0.15)
    assert found.run_mean == pytest.approx(0.15)
    assert found.run_interval == pytest.approx((0.15, 0.15))
    assert (found.num_cases, found.num_runs, found.num_better) == (2, 2, 2)
    # All resamples of two cases lie between the two.
    assert found.case_interval == pytest.approx((0.1, 0.2))
    # Two positive differences: 2 of the 4 equally likely sign patterns are as extreme.
    assert found.p_value == pytest.approx(0.5)


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_the_detectable_difference_is_that_of_the_tables_of_power(effect, pairs):
    # Cohen's d of a paired t-test, and the fewest pairs that find it in 80 % at 5 %.
    def detectable(number: int) -> float:
        values = np.resize([-1.0, 1.0], number)
        values = (values - values.mean()) / values.std(ddof=1)
        twin = {(run(fold), "a"): 0.0 for fold in range(number)}
        own = {(run(fold), "a"): float(value) for fold, value in enumerate(values)}
        return difference(own, twin).detectable

    assert detectable(pairs) <= effect < detectable(pairs - 1)


def test_a_single_pair_can_detect_nothing():
    assert math.isnan(difference({(run(5), "a"): 1.0}, {(run(5), "a"): 0.0}).detectable)


def test_only_runs_and_cases_that_both_have_are_paired():
    twin = {(run(5), "a"): 0.5, (run(5), "b"): NAN, (run(6), "a"): 0.1}
    own = {(run(5), "a"): 0.6, (run(5), "b"): 0.0, (run(7), "a"): 0.9}
    found = difference(own, twin)
    assert found.mean == pytest.approx(0.1)
    assert (found.num_cases, found.num_runs) == (1, 1)
    assert all(math.isnan(end) for end in found.run_interval)
    assert difference({(run(7), "a"): 0.9}, twin) is None


def test_a_smaller_distance_is_better():
    twin, own = {(run(5), "a"): 3.0}, {(run(5), "a"): 2.0}
    assert difference(own, twin, more_is_better=False).num_better == 1
    assert difference(own, twin).num_better == 0


def test_runs_of_one_label_fold_are_paired_by_seed():
    twin = {(run(5, 1), "a"): 0.5, (run(5, 2), "a"): 0.6, (run(5, 3), "a"): 0.0}
    own = {(run(5, 1), "a"): 0.6, (run(5, 2), "a"): 0.9, (run(5, 4), "a"): 1.0}
    # Seeds 3 and 4 have no partner.
    found = difference(own, twin)
    assert found.run_mean == pytest.approx((0.1 + 0.3) / 2)
    assert (found.num_runs, found.num_same_seed) == (2, 2)
    # Another label fold is not the same run, whatever the seed.
    assert difference({(run(6, 1), "a"): 0.6}, twin) is None


def test_a_run_without_seed_is_paired_with_the_mean_over_the_seeds_of_its_label_fold():
    twin = {(run(5, 1), "a"): 0.5, (run(5, 2), "a"): 0.7, (run(6, 1), "a"): 0.4}
    stock = {(run(5), "a"): 0.9, (run(6), "a"): 0.5}
    found = difference(stock, twin)
    assert found.run_mean == pytest.approx((0.3 + 0.1) / 2)
    assert (found.num_runs, found.num_same_seed) == (2, 0)
    # A run without a value counts for nothing, and pairs by seed go before.
    twin |= {(run(5), "a"): 0.8, (run(6, 2), "a"): NAN}
    found = difference(stock, twin)
    assert found.run_mean == pytest.approx((0.1 + 0.1) / 2)


def test_one_value_for_all_cases_together_has_no_test_over_cases():
    found = difference({(run(5), "(all)"): 0.9}, {(run(5), "(all)"): 0.8})
    assert math.isnan(found.p_value)
    assert found.run_mean == pytest.approx(0.1)


def test_the_bootstrap_of_equal_values_has_no_width():
    assert bootstrap_interval(np.full(7, 0.25)) == (0.25, 0.25)


def test_a_single_value_has_no_interval():
    for interval in (bootstrap_interval(np.array([0.1])), t_interval(np.array([0.1]))):
        assert all(math.isnan(end) for end in interval)


def test_the_bootstrap_of_a_normal_sample_is_near_its_closed_form():
    values = np.random.default_rng(1).normal(0.3, 2.0, 400)
    half = 1.96 * values.std() / math.sqrt(400)
    interval = bootstrap_interval(values)
    assert interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert interval == bootstrap_interval(values)


def test_a_t_interval_by_hand():
    # Mean 2, standard deviation 1, t(0.975, 2) = 4.3027.
    half = 4.30265 / math.sqrt(3)
    assert t_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2 - half, 2 + half), abs=1e-4)


def test_the_signed_rank_test_has_the_exact_p_of_a_tiny_sample():
    # Ranks 1 to 5, negative sum 1: sign patterns with a negative sum of at most 1 are 2 of 32.
    assert signed_rank_test(np.array([-0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(2 * 2 / 32)
    assert signed_rank_test(np.zeros(4)) == 1
    assert signed_rank_test(np.array([0.1])) == 1


def test_the_signed_rank_test_of_many_cases_is_scipys():
    values = np.random.default_rng(0).normal(0.2, 1, 60)
    assert signed_rank_test(values) == pytest.approx(stats.wilcoxon(values).pvalue)


def test_the_t_test_by_hand_and_at_the_end_of_its_interval():
    # Mean 0.2, standard error 0.1, one degree of freedom: Cauchy's distribution.
    assert t_test(np.array([0.1, 0.3])) == pytest.approx(1 - 2 / math.pi * math.atan(2))
    values = np.array([0.1, 0.25, 0.4, -0.05])
    low, _ = t_interval(values)
    assert t_test(values - low) == pytest.approx(0.05)


def test_the_t_test_without_a_spread():
    assert math.isnan(t_test(np.array([0.1])))
    assert (t_test(np.array([0.5, 0.5])), t_test(np.zeros(2))) == (0, 1)


def test_holm_by_hand():
    # Sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 (raised to the one before), 0.9 * 1.
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []
