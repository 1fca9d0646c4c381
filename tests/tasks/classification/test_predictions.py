"""Tables of predictions, and how they meet a table of classes."""

import numpy as np
import pytest

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.classification.predictions import (
    Predictions,
    read_predictions,
    truth_of,
    write_predictions,
)

NAN = np.nan


def test_a_written_table_is_read_as_it_was(tmp_path):
    values = np.array([[0.123456789, 1.0], [1e-9, 0.5]])
    predictions = Predictions(("a", "b"), ("x", "y, z"), values)
    write_predictions(tmp_path / "p.csv", predictions)
    read = read_predictions(tmp_path / "p.csv")
    assert (read.identifiers, read.names) == (("a", "b"), ("x", "y, z"))
    np.testing.assert_allclose(read.values, values, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no table of predictions"),
        ("case,x\na,0.5\n", 'its first column must be "identifier"'),
        ("identifier\na\n", "one column per class must follow"),
        ("identifier,x\na,high\n", "Line 2 .* has not 1 numbers"),
        ("identifier,x,y\na,0.5\n", "Line 2 .* has not 2 numbers"),
        ("identifier,x\na,0.5\nb,0.1\na,0.5\n", "has a more than once"),
        ("identifier,x\na,1.5\n", "outside of 0 to 1"),
        ("identifier,x\na,nan\n", "outside of 0 to 1"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, text, message):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_predictions(path)
    with pytest.raises(ValueError, match="There is no .*nnUNetv2_pcrl_predict_classes"):
        read_predictions(tmp_path / "lost.csv")


def table_of(kind, names, targets) -> ClassTable:
    cases = tuple("abcd"[: len(targets)])
    return ClassTable(cases, cases, ("",) * len(cases), names, kind, np.array(targets, float))


PREDICTIONS = Predictions(
    ("z", "b", "a"), ("x", "y"), np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
)


def test_the_truth_is_that_of_the_predicted_cases_in_their_order_and_that_of_their_classes():
    table = table_of("multilabel", ("y", "x"), [[1, 0], [0, NAN], [1, 1]])
    truth, predicted = truth_of(PREDICTIONS, table)
    assert (truth.identifiers, truth.names) == (("b", "a"), ("x", "y"))
    np.testing.assert_equal(truth.targets, [[NAN, 0], [0, 1]])
    np.testing.assert_equal(predicted, [[0.3, 0.4], [0.5, 0.6]])


@pytest.mark.parametrize(
    ("kind", "targets", "expected"),
    [
        ("multilabel", [[1], [0]], [[0, NAN], [1, NAN]]),
        ("multiclass", [[1], [NAN]], [[1, 0]]),
    ],
)
def test_a_class_that_the_table_lacks_is_unknown_or_absent(kind, targets, expected):
    truth, _ = truth_of(PREDICTIONS, table_of(kind, ("x",), targets))
    np.testing.assert_equal(truth.targets, expected)


def test_tables_of_other_classes_or_other_cases_are_refused():
    with pytest.raises(ValueError, match=r"The classes \['w'\] were not predicted"):
        truth_of(PREDICTIONS, table_of("multilabel", ("w", "x"), [[1, 0]]))
    with pytest.raises(ValueError, match="None of the 3 predicted cases has a known class"):
        truth_of(PREDICTIONS, table_of("multilabel", ("x",), [[NAN], [NAN], [1]]))
