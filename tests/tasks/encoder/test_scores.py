"""Scores of predictions: means, what is not defined, intervals over patients."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.encoder.scores import mean_of_defined, quick_scores, scores_of

NAN = math.nan


def table_of(targets, patients=None, kind="multilabel") -> ClassTable:
    targets = np.array(targets, dtype=float)
    cases = tuple(f"case_{n}" for n in range(len(targets)))
    names = tuple("abcdef"[: targets.shape[1]])
    return ClassTable(cases, tuple(patients or cases), ("",) * len(cases), names, kind, targets)


def test_a_class_with_one_kind_of_case_is_named_and_left_out_of_the_mean():
    table = table_of([[0, 0, NAN], [0, 0, NAN], [1, 0, NAN], [1, 0, NAN]])
    predicted = np.array([[0.1] * 3, [0.4] * 3, [0.35] * 3, [0.8] * 3])
    scores = scores_of(table, predicted)
    assert scores.mean.values["auroc"] == pytest.approx(0.75)
    assert scores.mean.values["average_precision"] == pytest.approx(5 / 6)
    plain = json.loads(json.dumps(scores.as_plain(), allow_nan=False))
    assert plain["classes"]["b"]["auroc"] is None
    assert plain["undefined"] == {
        "b": "all 4 known cases are negative",
        "c": "not known of any case",
    }
    assert plain["classes"]["a"]["auroc"] == pytest.approx(0.75)


def test_without_any_defined_class_the_mean_is_named_too():
    scores = scores_of(table_of([[1], [1]]), np.zeros((2, 1)))
    assert math.isnan(scores.mean.values["auroc"])
    assert "no class has both" in scores.mean.undefined
    assert scores.as_plain()["mean"]["auroc"] is None


def test_an_unknown_class_of_a_case_counts_for_nothing():
    predicted = np.array([[0.1], [0.9], [0.8], [0.2]])
    known = scores_of(table_of([[0], [1], [NAN], [NAN]]), predicted)
    assert known.classes[0].values["auroc"] == 1
    assert (known.classes[0].num_positive, known.classes[0].num_negative) == (1, 1)
    assert (known.num_cases, known.num_patients) == (2, 2)


@pytest.mark.slow
def test_intervals_hold_the_value_and_are_those_of_resampled_patients():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    predicted = (labels + random.normal(size=60))[:, None]
    patients = [f"p{n // 3}" for n in range(60)]
    scores = scores_of(table_of(labels[:, None], patients), predicted)
    low, high = scores.classes[0].intervals["auroc"]
    assert low < scores.classes[0].values["auroc"] < high
    # By resampling the rows themselves, with other draws.
    values = []
    for _ in range(1000):
        rows = np.concatenate([np.arange(3 * p, 3 * p + 3) for p in random.integers(0, 20, 20)])
        values.append(roc_auc_score(labels[rows], predicted[rows, 0]))
    expected = np.percentile(values, [2.5, 97.5])
    np.testing.assert_allclose((low, high), expected, atol=0.02)


def test_copies_of_the_images_of_a_patient_do_not_make_an_interval_narrower():
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 30)
    predicted = (labels + random.normal(size=30))[:, None]
    patients = [f"p{n}" for n in range(30)]
    once = scores_of(table_of(labels[:, None], patients), predicted)
    copied = scores_of(
        table_of(np.repeat(labels, 4)[:, None], np.repeat(patients, 4).tolist()),
        np.repeat(predicted, 4, axis=0),
    )
    for metric, interval in once.classes[0].intervals.items():
        assert copied.classes[0].intervals[metric] == pytest.approx(interval)
    assert copied.num_patients == 30


def test_a_single_patient_has_no_interval():
    scores = scores_of(table_of([[0], [1]], ["p", "p"]), np.array([[0.1], [0.9]]))
    assert scores.classes[0].values["auroc"] == 1
    assert np.isnan(scores.classes[0].intervals["auroc"]).all()
    assert scores.as_plain()["classes"]["a"]["auroc_interval"] is None


def test_classes_of_which_each_case_has_one_are_each_told_from_all_others():
    targets = np.eye(3)[[0, 1, 2, 0]]
    predicted = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.25, 0.6, 0.15]])
    scores = scores_of(table_of(targets, kind="multiclass"), predicted)
    expected = roc_auc_score([0, 1, 2, 0], predicted, multi_class="ovr", average="macro")
    assert scores.mean.values["auroc"] == pytest.approx(expected)


def test_quick_scores_are_those_without_intervals():
    table = table_of([[0, 0], [1, 0], [1, 0]])
    predicted = np.array([[0.5, 0.1], [0.4, 0.2], [0.9, 0.3]])
    quick = quick_scores(table, predicted)
    np.testing.assert_equal(quick["auroc"], [0.5, np.nan])
    assert mean_of_defined(quick["auroc"]) == 0.5
    assert math.isnan(mean_of_defined(np.array([np.nan])))
