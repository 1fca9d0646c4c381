"""What predictions achieved: AUROC and average precision per class, with intervals."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.encoder.ranking import auroc, average_precision

METRICS = {"auroc": auroc, "average_precision": average_precision}
NUM_REPLICATES, REPLICATES_AT_ONCE = 1000, 100
CONFIDENCE = 0.95
SEED = 0

Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class ClassScore:
    """One class, or the mean of all classes.

    Attributes:
        name: of the class.
        num_positive, num_negative: known cases.
        values: by name of the metric, in [0, 1]; NaN where it is not defined.
        intervals: by name of the metric, over the patients; NaN where there is none.
        undefined: why the metrics are not defined; empty if they are.
    """

    name: str
    num_positive: int
    num_negative: int
    values: dict[str, float]
    intervals: dict[str, Interval]
    undefined: str = ""


@dataclass(frozen=True)
class Scores:
    """All classes of a set of predictions.

    Attributes:
        classes: in the order of the table.
        mean: over the classes for which the metrics are defined.
        num_cases, num_patients: with at least one known class.
    """

    classes: tuple[ClassScore, ...]
    mean: ClassScore
    num_cases: int
    num_patients: int

    def as_plain(self) -> dict[str, Any]:
        """For summary.json; what is not defined is null, and named."""
        return {
            "mean": _plain(self.mean),
            "classes": {score.name: _plain(score) for score in self.classes},
            "undefined": {s.name: s.undefined for s in self.classes if s.undefined},
            "num_cases": self.num_cases,
            "num_patients": self.num_patients,
            "intervals": {
                "unit": "patient",
                "replicates": NUM_REPLICATES,
                "confidence": CONFIDENCE,
                "kind": "percentile bootstrap",
            },
        }


def scores_of(table: ClassTable, predicted: np.ndarray) -> Scores:
    """Scores of predictions, with bootstrap intervals over patients.

    Args:
        table: the truth; unknown classes of a case count for nothing.
        predicted: probabilities or any scores, shape [N, K].
    """
    replicates: dict[str, list[np.ndarray]] = {name: [] for name in METRICS}
    for weights in _bootstrap_weights(table.patients):
        for name, values in _all_classes(table, predicted, weights).items():
            replicates[name].append(values)
    drawn = {name: np.concatenate(values) for name, values in replicates.items()}
    points = quick_scores(table, predicted)
    classes = []
    for place, name in enumerate(table.names):
        known = table.targets[:, place][~np.isnan(table.targets[:, place])]
        num_positive, num_negative = int(known.sum()), int((1 - known).sum())
        classes.append(
            ClassScore(
                name,
                num_positive,
                num_negative,
                {metric: float(points[metric][place]) for metric in METRICS},
                {metric: _interval(drawn[metric][:, place]) for metric in METRICS},
                _why_undefined(num_positive, num_negative),
            )
        )
    are_defined = [not score.undefined for score in classes]
    mean = ClassScore(
        "mean",
        sum(score.num_positive for score in classes),
        sum(score.num_negative for score in classes),
        {metric: _mean_of(points[metric][None], are_defined)[0] for metric in METRICS},
        {metric: _interval(_mean_of(drawn[metric], are_defined)) for metric in METRICS},
        "" if any(are_defined) else "no class has both positive and negative cases",
    )
    known = table.known()
    return Scores(tuple(classes), mean, len(known), len(set(known.patients)))


def quick_scores(table: ClassTable, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric of each class, shape [K], without intervals; NaN where it is not defined.

    Args:
        table: the truth.
        predicted: probabilities or any scores, shape [N, K].
    """
    return {name: values[0] for name, values in _all_classes(table, predicted).items()}


def mean_of_defined(values: np.ndarray) -> float:
    """Mean over the classes for which a metric is defined; NaN if it is for none."""
    return float(_mean_of(values[None], ~np.isnan(values))[0])


def _all_classes(
    table: ClassTable, predicted: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Every metric of every class, each of shape [R, K].

    Args:
        table: the truth.
        predicted: shape [N, K].
        weights: of the cases, shape [R, N].
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in METRICS}
    for place in range(len(table.names)):
        known = ~np.isnan(table.targets[:, place])
        scores, labels = predicted[known, place], table.targets[known, place]
        for name, metric in METRICS.items():
            found[name].append(
                metric(scores, labels, None if weights is None else weights[:, known])
            )
    return {name: np.stack(np.broadcast_arrays(*values), axis=1) for name, values in found.items()}


def _bootstrap_weights(patients: Sequence[str]) -> Iterator[np.ndarray]:
    """How often each case is drawn, patients drawn as often as there are, shape [R, N].

    A single patient is never drawn: nothing is known of how much others differ.
    """
    _, of_case = np.unique(patients, return_inverse=True)
    num_patients = of_case.max() + 1 if len(of_case) else 1
    if num_patients == 1:
        yield np.zeros((1, len(of_case)))
        return
    generator = np.random.default_rng(SEED)
    for _ in range(NUM_REPLICATES // REPLICATES_AT_ONCE):
        draws = generator.multinomial(
            num_patients, np.full(num_patients, 1 / num_patients), REPLICATES_AT_ONCE
        )
        yield draws[:, of_case]


def _mean_of(values: np.ndarray, are_defined: Sequence[bool]) -> np.ndarray:
    """Mean over the defined classes, shape [R]; a replicate without positives of one leaves it out.

    Args:
        values: shape [R, K].
        are_defined: shape [K].
    """
    chosen = values[:, np.asarray(are_defined, dtype=bool)]
    defined = ~np.isnan(chosen)
    sums = np.where(defined, chosen, 0).sum(1)
    counts = defined.sum(1)
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)


def _interval(values: np.ndarray) -> Interval:
    """Percentiles of the replicates; none if fewer than half of them are defined."""
    values = values[~np.isnan(values)]
    if len(values) < NUM_REPLICATES / 2:
        return NO_INTERVAL
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def _why_undefined(num_positive: int, num_negative: int) -> str:
    if num_positive and num_negative:
        return ""
    num_known = num_positive + num_negative
    if not num_known:
        return "not known of any case"
    return f"all {num_known} known cases are {'positive' if num_positive else 'negative'}"


def _plain(score: ClassScore) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "num_positive": score.num_positive,
        "num_negative": score.num_negative,
    }
    for metric in METRICS:
        plain[metric] = _or_null(score.values[metric])
        interval = [_or_null(end) for end in score.intervals[metric]]
        plain[f"{metric}_interval"] = None if None in interval else interval
    return plain


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
