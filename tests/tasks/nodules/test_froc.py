"""The FROC curve against hand values and the formula of the challenge's script."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from nnunetv2_pcrl.tasks.nodules.challenge import RATES
from nnunetv2_pcrl.tasks.nodules.froc import (
    cpm,
    froc,
    interval,
    resampled_sensitivities,
)
from nnunetv2_pcrl.tasks.nodules.hits import Judgement
from nnunetv2_pcrl.tasks.nodules.report import summary_of


def judged(num_nodules, hits=(), false=()) -> Judgement:
    """Hits and false positives are pairs of scan and score."""
    columns = [
        np.array([pair[place] for pair in pairs], dtype=kind)
        for pairs in (hits, false)
        for place, kind in enumerate((np.int64, np.float64))
    ]
    return Judgement(np.array(num_nodules), *columns, 0, 0, len(hits) + len(false))


def random_judgement(seed=0, num_scans=40, decimals=2) -> Judgement:
    """Scores on a coarse grid, so that many are equal."""
    random = np.random.default_rng(seed)
    num_nodules = random.integers(0, 3, num_scans)
    hits = [
        (scan, round(random.beta(4, 2), decimals))
        for scan in range(num_scans)
        for _ in range(num_nodules[scan])
        if random.random() < 0.8
    ]
    false = [
        (scan, round(random.beta(2, 4), decimals))
        for scan in range(num_scans)
        for _ in range(random.integers(0, 20))
    ]
    return judged(num_nodules, hits, false)


def script_sensitivities(judgement: Judgement) -> np.ndarray:
    """As the challenge's script computes them, with scikit-learn's ROC curve."""
    truth = np.r_[np.ones(len(judgement.hit_scores)), np.zeros(len(judgement.false_scores))]
    scores = np.r_[judgement.hit_scores, judgement.false_scores]
    false_rate, true_rate, _ = roc_curve(truth, scores)
    false = false_rate * len(judgement.false_scores) / len(judgement.num_nodules)
    found = true_rate * len(judgement.hit_scores) / judgement.num_nodules.sum()
    # The script's rounding errors decide between the ends of an upright part at a rate.
    return np.interp(RATES, np.round(false, 12), found)


def test_all_hits_first_give_sensitivity_one_at_every_rate():
    judgement = judged([1, 1, 0], [(0, 0.9), (1, 0.8)], [(2, 0.7), (0, 0.1)])
    assert froc(judgement).at().tolist() == [1.0] * 7
    assert cpm(froc(judgement).at()) == 1


def test_no_detection_gives_zero():
    assert cpm(froc(judged([1, 2], [], [(0, 0.5)])).at()) == 0
    assert cpm(froc(judged([1, 2])).at()) == 0


def test_without_a_false_positive_the_sensitivity_is_that_of_all_marks():
    assert froc(judged([1, 1], [(0, 0.5)])).at().tolist() == [0.5] * 7


def test_the_score_is_the_mean_of_seven_sensitivities():
    assert cpm((0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.95)) == pytest.approx(0.7714, abs=5e-5)
    with pytest.raises(ValueError, match="a mean of 7 values, got 2"):
        cpm((0.5, 0.6))


def test_a_scan_without_nodules_counts_among_the_scans():
    hits, false = [(0, 0.5)], [(0, 0.9)]
    # One false positive before the hit: 1 per scan, or 1/2 with a second scan.
    assert froc(judged([1], hits, false)).at((0.5, 1.0)).tolist() == [0.0, 1.0]
    assert froc(judged([1, 0], hits, false)).at((0.5, 1.0)).tolist() == [1.0, 1.0]


def test_equal_scores_count_together_and_the_curve_is_linear_between_its_points():
    judgement = judged([1, 0, 0, 0], [(0, 0.5)], [(n, 0.5) for n in range(4)])
    curve = froc(judgement)
    assert curve.false_positives.tolist() == [0, 1] and curve.sensitivities.tolist() == [0, 1]
    assert curve.thresholds.tolist() == [np.inf, 0.5]
    np.testing.assert_allclose(curve.at(), (0.125, 0.25, 0.5, 1, 1, 1, 1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [1, 6])
def test_sensitivities_are_those_of_the_script(seed, decimals):
    judgement = random_judgement(seed, decimals=decimals)
    np.testing.assert_allclose(
        froc(judgement).at(), script_sensitivities(judgement), rtol=0, atol=1e-12
    )


def test_where_the_curve_rises_upright_at_a_rate_its_upper_end_counts():
    # One false positive in eight scans is the rate 1/8; then both nodules are found.
    judgement = judged([1, 1] + [0] * 6, [(0, 0.5), (1, 0.4)], [(2, 0.9), (3, 0.1)])
    assert froc(judgement).at((0.125,)).tolist() == [1.0]


def test_a_sample_is_the_curve_of_the_drawn_scans():
    judgement = random_judgement(num_scans=6)
    drawn = np.random.default_rng(3).integers(6, size=6)
    parts = {"hits": [], "false": []}
    for number, scan in enumerate(drawn):
        for name, scans, scores in (
            ("hits", judgement.hit_scans, judgement.hit_scores),
            ("false", judgement.false_scans, judgement.false_scores),
        ):
            parts[name] += [(number, score) for score in scores[scans == scan]]
    sample = judged(judgement.num_nodules[drawn], parts["hits"], parts["false"])
    found = resampled_sensitivities(judgement, num_resamples=1, seed=3)[0]
    np.testing.assert_allclose(found, script_sensitivities(sample), atol=1e-12)


def test_equal_seeds_give_equal_samples_and_the_interval_holds_the_value():
    judgement = random_judgement()
    samples = resampled_sensitivities(judgement, num_resamples=200)
    np.testing.assert_array_equal(samples, resampled_sensitivities(judgement, num_resamples=200))
    low, high = interval(samples)
    assert (low <= froc(judgement).at()).all() and (froc(judgement).at() <= high).all()
    assert (low < high).all()


def test_samples_without_a_nodule_are_drawn_anew():
    judgement = judged([1, *[0] * 9], [(0, 0.9)], [(5, 0.1)])
    assert (resampled_sensitivities(judgement, num_resamples=50) == 1).all()


def test_scans_without_any_nodule_have_no_sensitivity():
    with pytest.raises(ValueError, match="no nodule in the 2 scans"):
        froc(judged([0, 0], [], [(0, 0.5)]))


def test_the_summary_counts_what_was_judged():
    judgement = judged([1, 2, 0], [(0, 0.9), (1, 0.8)], [(2, 0.95)])
    summary = summary_of(judgement, 100)
    assert (summary["num_scans"], summary["num_scans_without_nodules"]) == (3, 1)
    assert (summary["num_nodules"], summary["num_found"]) == (3, 2)
    assert summary["largest_sensitivity"] == pytest.approx(2 / 3)
    assert list(summary["sensitivity"]) == ["0.125", "0.25", "0.5", "1", "2", "4", "8"]
    assert summary["cpm"] == pytest.approx(np.mean(list(summary["sensitivity"].values())))
    low, high = summary["cpm_interval"]
    assert 0 <= low <= summary["cpm"] <= high <= 1
