"""Which marks hit a nodule, by the rule of LUNA16."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_pcrl.datasets.positions import Positions
from nnunetv2_pcrl.tasks.nodules.challenge import MARKS_PER_SCAN

# Irrelevant findings without a measured diameter are taken for 10 mm.
DEFAULT_DIAMETER_MM = 10.0


@dataclass(frozen=True)
class Judgement:
    """Marks of several scans, judged. Scans are numbers 0 to S - 1.

    Attributes:
        num_nodules: per scan, shape [S].
        hit_scans, hit_scores: scan and score of every nodule that was found, shape [H].
        false_scans, false_scores: scan and score of every false positive, shape [F].
        num_ignored: marks on irrelevant findings.
        num_double: further marks on nodules that were found already.
        num_marks: that were judged.
    """

    num_nodules: np.ndarray
    hit_scans: np.ndarray
    hit_scores: np.ndarray
    false_scans: np.ndarray
    false_scores: np.ndarray
    num_ignored: int
    num_double: int
    num_marks: int


def judge(
    marks: Positions,
    nodules: Positions,
    irrelevant: Positions | None,
    scans: Sequence[str],
    marks_per_scan: int | None = MARKS_PER_SCAN,
) -> Judgement:
    """Judges the marks of scans.

    A mark hits a nodule if it is nearer to its centre than its radius. A nodule has the score of
    the highest mark on it. Marks that hit nothing are false positives, unless they lie in an
    irrelevant finding. A mark within two nodules finds both.

    Args:
        marks: values are scores, of which higher ones are more likely nodules.
        nodules: values are diameters, mm.
        irrelevant: findings that are neither; a diameter below 0 counts as 10 mm.
        scans: that count, those without nodules and without marks too.
        marks_per_scan: highest marks of a scan that count, the first ones where equal; None: all.

    Raises:
        ValueError: if a scan is named twice, or there is none.

    Source: LUNA16, noduleCADEvaluationLUNA16.py. Its limit leaves out all marks that are equal to
    the first one beyond it; here they fill the places up.
    """
    if not scans or len(set(scans)) != len(scans):
        raise ValueError(f"{len(scans)} scans, {len(set(scans))} of them different, were given.")
    marks_of, nodules_of = _by_scan(marks), _by_scan(nodules)
    irrelevant_of = _by_scan(irrelevant) if irrelevant is not None else {}
    none = (np.empty((0, 3)), np.empty(0))
    hits: list[tuple[int, float]] = []
    false: list[tuple[int, float]] = []
    num_nodules = np.zeros(len(scans), dtype=np.int64)
    num_ignored = num_double = num_marks = 0
    for number, scan in enumerate(scans):
        points, scores = marks_of.get(scan, none)
        highest = np.argsort(-scores, kind="stable")[:marks_per_scan]
        points, scores = points[highest], scores[highest]
        centres, diameters = nodules_of.get(scan, none)
        within = _within(points, centres, diameters)
        for of_nodule in within.T:
            if of_nodule.any():
                hits.append((number, scores[of_nodule].max()))
                num_double += int(of_nodule.sum()) - 1
        findings, diameters = irrelevant_of.get(scan, none)
        diameters = np.where(diameters < 0, DEFAULT_DIAMETER_MM, diameters)
        is_hit = within.any(1)
        is_ignored = ~is_hit & _within(points, findings, diameters).any(1)
        false += [(number, score) for score in scores[~is_hit & ~is_ignored]]
        num_nodules[number] = len(centres)
        num_ignored += int(is_ignored.sum())
        num_marks += len(scores)
    hit_scans, hit_scores = _columns(hits)
    false_scans, false_scores = _columns(false)
    return Judgement(
        num_nodules,
        hit_scans,
        hit_scores,
        false_scans,
        false_scores,
        num_ignored,
        num_double,
        num_marks,
    )


def _by_scan(positions: Positions) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    places: dict[str, list[int]] = {}
    for place, scan in enumerate(positions.scans):
        places.setdefault(scan, []).append(place)
    return {
        scan: (positions.points_mm[indices], positions.values[indices])
        for scan, indices in places.items()
    }


def _within(points: np.ndarray, centres: np.ndarray, diameters: np.ndarray) -> np.ndarray:
    """True where a point is nearer to a centre than the radius, shape [points, centres]."""
    squares = ((points[:, None] - centres[None]) ** 2).sum(-1)
    return squares < (diameters / 2) ** 2


def _columns(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    scans, scores = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(scans, dtype=np.int64), np.array(scores, dtype=np.float64)
