"""AUROC and average precision: hand values, and agreement with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from nnunetv2_pcrl.tasks.encoder.ranking import auroc, average_precision

SCORES = np.array([0.1, 0.4, 0.35, 0.8])
LABELS = np.array([0, 0, 1, 1])


def test_hand_values():
    # Three of four pairs are in order; precision is 1 at the first positive and 2/3 at the last.
    assert auroc(SCORES, LABELS) == pytest.approx(0.75)
    assert average_precision(SCORES, LABELS) == pytest.approx((1 + 2 / 3) / 2)


def test_equal_scores_are_a_half_and_the_prevalence():
    assert auroc(np.full(4, 0.3), LABELS) == pytest.approx(0.5)
    assert average_precision(np.full(5, 0.3), np.array([1, 0, 0, 0, 0])) == pytest.approx(0.2)


def test_only_the_order_counts_and_the_opposite_order_is_the_opposite():
    for change in (np.exp, lambda x: 3 * x - 7, np.sqrt):
        assert auroc(change(SCORES), LABELS) == auroc(SCORES, LABELS)
    assert auroc(-SCORES, LABELS) == pytest.approx(1 - 0.75)


@pytest.mark.parametrize("metric", [auroc, average_precision])
def test_scores_that_are_no_numbers_have_no_order(metric):
    for scores in (np.full(4, np.nan), np.where(SCORES < 0.2, np.nan, SCORES)):
        assert np.isnan(metric(scores, LABELS)).tolist() == [True]
        assert np.isnan(metric(scores, LABELS, np.ones((3, 4)))).tolist() == [True] * 3
        # As in a table whose positive cases come first.
        assert np.isnan(metric(scores, LABELS[::-1])).all()


@pytest.mark.parametrize("labels", [np.zeros(4), np.ones(4)])
def test_one_kind_of_case_only_is_not_defined(labels):
    assert np.isnan(auroc(SCORES, labels))
    assert np.isnan(average_precision(SCORES, labels))
    assert np.isnan(auroc(np.array([]), np.array([])))


@pytest.mark.parametrize("num_scores", [4, 1000])
def test_it_agrees_with_scikit_learn_with_ties_and_weights(num_scores):
    random = np.random.default_rng(num_scores)
    scores = random.integers(0, num_scores, 200) / num_scores
    labels = (scores + random.normal(size=200) > 0.7).astype(int)
    weights = random.multinomial(200, np.full(200, 1 / 200), 5)
    for ours, theirs in ((auroc, roc_auc_score), (average_precision, average_precision_score)):
        assert ours(scores, labels) == pytest.approx(theirs(labels, scores))
        expected = [theirs(labels, scores, sample_weight=row) for row in weights]
        np.testing.assert_allclose(ours(scores, labels, weights), expected, rtol=1e-12)


def test_a_replicate_without_positive_cases_is_not_defined_and_others_are():
    weights = np.array([[1, 1, 0, 0], [1, 0, 0, 1]])
    np.testing.assert_equal(auroc(SCORES, LABELS, weights), [np.nan, 1.0])
