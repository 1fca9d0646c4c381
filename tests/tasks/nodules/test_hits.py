"""The rule of LUNA16: which marks hit, which are false, which are passed over."""

import numpy as np
import pytest

from nnunetv2_pcrl.datasets.positions import Positions
from nnunetv2_pcrl.tasks.nodules.hits import judge


def positions(*rows: tuple) -> Positions:
    """Rows of scan, x, y, z, value."""
    return Positions(
        tuple(row[0] for row in rows),
        np.array([row[1:4] for row in rows], dtype=float).reshape(-1, 3),
        np.array([row[4] for row in rows], dtype=float),
    )


NODULE = positions(("a", 10, 20, 30, 8))


@pytest.mark.parametrize(("distance", "num_hits"), [(0.0, 1), (3.999, 1), (4.0, 0), (4.001, 0)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mark_hits_if_it_is_nearer_than_the_radius_and_not_at_it(distance, num_hits, axis):
    point = [10.0, 20.0, 30.0]
    point[axis] += distance
    judgement = judge(positions(("a", *point, 0.5)), NODULE, None, ["a"])
    assert len(judgement.hit_scores) == num_hits
    assert len(judgement.false_scores) == 1 - num_hits


def test_two_marks_on_a_nodule_count_once_with_the_highest_score_and_neither_is_false():
    marks = positions(("a", 10, 20, 30, 0.3), ("a", 11, 20, 30, 0.9))
    judgement = judge(marks, NODULE, None, ["a"])
    assert judgement.hit_scores.tolist() == [0.9]
    assert len(judgement.false_scores) == 0 and judgement.num_double == 1


def test_a_mark_in_an_irrelevant_finding_is_passed_over():
    irrelevant = positions(("a", 100, 0, 0, 6))
    marks = positions(("a", 102.9, 0, 0, 0.9), ("a", 103, 0, 0, 0.8))
    judgement = judge(marks, NODULE, irrelevant, ["a"])
    assert judgement.num_ignored == 1 and judgement.false_scores.tolist() == [0.8]


def test_an_irrelevant_finding_without_a_diameter_counts_as_one_of_ten_mm():
    irrelevant = positions(("a", 100, 0, 0, -1))
    marks = positions(("a", 104.9, 0, 0, 0.9), ("a", 105, 0, 0, 0.8))
    assert judge(marks, NODULE, irrelevant, ["a"]).num_ignored == 1


def test_a_mark_in_a_nodule_and_an_irrelevant_finding_is_a_hit():
    judgement = judge(positions(("a", 10, 20, 30, 0.5)), NODULE, NODULE, ["a"])
    assert len(judgement.hit_scores) == 1 and judgement.num_ignored == 0


def test_a_mark_within_two_nodules_finds_both():
    nodules = positions(("a", 0, 0, 0, 8), ("a", 4, 0, 0, 8))
    judgement = judge(positions(("a", 2, 0, 0, 0.5)), nodules, None, ["a"])
    assert judgement.hit_scores.tolist() == [0.5, 0.5] and judgement.num_double == 0


def test_only_marks_and_nodules_of_the_scans_that_count_are_judged():
    nodules = positions(("a", 0, 0, 0, 8), ("c", 0, 0, 0, 8))
    marks = positions(("a", 0, 0, 0, 0.5), ("c", 0, 0, 0, 0.5), ("b", 0, 0, 0, 0.4))
    judgement = judge(marks, nodules, None, ["a", "b"])
    assert judgement.num_nodules.tolist() == [1, 0]
    assert judgement.hit_scans.tolist() == [0] and judgement.false_scans.tolist() == [1]


def test_a_nodule_of_another_scan_is_not_hit():
    judgement = judge(positions(("b", 10, 20, 30, 0.5)), NODULE, None, ["a", "b"])
    assert len(judgement.hit_scores) == 0 and len(judgement.false_scores) == 1


def test_only_the_highest_marks_of_a_scan_count():
    marks = positions(*(("a", 200 + n, 0, 0, n / 200) for n in range(150)), ("b", 0, 0, 0, 0.0))
    judgement = judge(marks, NODULE, None, ["a", "b"])
    assert judgement.num_marks == 101
    assert judgement.false_scores[judgement.false_scans == 0].min() == 50 / 200
    assert judge(marks, NODULE, None, ["a", "b"], None).num_marks == 151


def test_a_scan_that_is_named_twice_is_refused():
    with pytest.raises(ValueError, match="2 scans, 1 of them different"):
        judge(NODULE, NODULE, None, ["a", "a"])
