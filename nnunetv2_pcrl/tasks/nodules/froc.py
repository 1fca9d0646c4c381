"""The FROC curve of judged marks, and the score of LUNA16 that is read off it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_pcrl.tasks.nodules.challenge import NUM_RESAMPLES, RATES
from nnunetv2_pcrl.tasks.nodules.hits import Judgement

CONFIDENCE = 0.95
SEED = 0


@dataclass(frozen=True)
class Curve:
    """A FROC curve, one point per score at which a mark counts; the first is (0, 0).

    Attributes:
        false_positives: per scan, not falling.
        sensitivities: part of the nodules that were found, in [0, 1], not falling.
        thresholds: lowest score that counts at a point; infinite at the first.
    """

    false_positives: np.ndarray
    sensitivities: np.ndarray
    thresholds: np.ndarray

    def at(self, rates: Sequence[float] | np.ndarray = RATES) -> np.ndarray:
        """Sensitivities at false positives per scan, linear between the points.

        Where the curve rises upright at a rate, this is its upper end: the challenge's script
        leaves this to the rounding of 111 / 888.
        """
        return np.interp(rates, self.false_positives, self.sensitivities)


def cpm(sensitivities: Sequence[float] | np.ndarray) -> float:
    """The score of LUNA16: the mean of the sensitivities at the seven rates.

    Raises:
        ValueError: if there are not seven.
    """
    if len(sensitivities) != len(RATES):
        raise ValueError(f"The score is a mean of {len(RATES)} values, got {len(sensitivities)}.")
    return float(np.mean(sensitivities))


def froc(judgement: Judgement) -> Curve:
    """The curve over all scans.

    Raises:
        ValueError: if there is no nodule in the scans.

    Source: LUNA16, noduleCADEvaluationLUNA16.py (computeFROC).
    """
    if not judgement.num_nodules.sum():
        raise ValueError(
            f"There is no nodule in the {len(judgement.num_nodules)} scans, so there is no "
            f"sensitivity. Name scans of the annotations."
        )
    ordered = _Ordered(judgement)
    false, found = ordered.points(np.ones(len(judgement.num_nodules)))
    return Curve(false, found, np.concatenate([[np.inf], ordered.scores[ordered.last]]))


def resampled_sensitivities(
    judgement: Judgement,
    rates: Sequence[float] | np.ndarray = RATES,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = SEED,
) -> np.ndarray:
    """Sensitivities of bootstrap samples: as many scans as there are, drawn with replacement.

    Args:
        judgement: of all scans.
        rates: false positives per scan.
        num_resamples: samples; those without any nodule are drawn anew.
        seed: equal seeds give equal samples.

    Returns:
        Shape [num_resamples, len(rates)].

    Raises:
        ValueError: if there is no nodule in the scans.
    """
    froc(judgement)
    ordered = _Ordered(judgement)
    generator = np.random.default_rng(seed)
    num_scans = len(judgement.num_nodules)
    samples = np.empty((num_resamples, len(rates)))
    for row in range(num_resamples):
        weights = np.zeros(num_scans)
        while not weights @ judgement.num_nodules:
            drawn = generator.integers(num_scans, size=num_scans)
            weights = np.bincount(drawn, minlength=num_scans).astype(np.float64)
        samples[row] = np.interp(rates, *ordered.points(weights))
    return samples


def interval(samples: np.ndarray) -> np.ndarray:
    """95 % percentile interval over the first axis, lower and upper limit first, shape [2, ...]."""
    tail = 50 * (1 - CONFIDENCE)
    return np.percentile(samples, [tail, 100 - tail], axis=0)


class _Ordered:
    """All found nodules and false positives, the highest score first: ordered once for all samples.

    Attributes:
        scores: highest first.
        last: places of the last ones of equal scores: those count together or not at all.
    """

    def __init__(self, judgement: Judgement):
        scores = np.concatenate([judgement.hit_scores, judgement.false_scores])
        order = np.argsort(-scores, kind="stable")
        self.scores = scores[order]
        self.last = np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True))
        self.last = self.last[: len(self.scores)]
        self._is_hit = order < len(judgement.hit_scores)
        self._scans = np.concatenate([judgement.hit_scans, judgement.false_scans])[order]
        self._num_nodules = judgement.num_nodules

    def points(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """False positives per scan and sensitivities if scan s counts `weights[s]` times."""
        of_marks = weights[self._scans]
        found = np.cumsum(of_marks * self._is_hit)[self.last]
        false = np.cumsum(of_marks * ~self._is_hit)[self.last]
        return (
            np.concatenate([[0.0], false / weights.sum()]),
            np.concatenate([[0.0], found / (weights @ self._num_nodules)]),
        )
