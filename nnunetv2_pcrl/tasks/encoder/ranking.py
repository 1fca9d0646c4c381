"""How well scores rank cases of a class before all others: AUROC and average precision.

Cases can have weights, one row of them per replicate of a bootstrap, all computed at once.
"""

import numpy as np


def auroc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve: the share of pairs in which the positive case scores higher.

    A tie counts half.

    Args:
        scores: shape [N].
        labels: 0 or 1, shape [N].
        weights: at least 0, shape [R, N]; one row of ones by default.

    Returns:
        Shape [R], in [0, 1]; NaN where all cases with weight are of one kind or a score is NaN.
    """
    positive, negative = _weights_by_score(scores, labels, weights)
    below = negative.sum(1, keepdims=True) - negative.cumsum(1)
    pairs = positive.sum(1) * negative.sum(1)
    return _divided((positive * (below + negative / 2)).sum(1), pairs)


def average_precision(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Precision at every threshold, weighted by the recall that it adds; not interpolated.

    Args:
        scores: shape [N].
        labels: 0 or 1, shape [N].
        weights: at least 0, shape [R, N]; one row of ones by default.

    Returns:
        Shape [R], in [0, 1]; NaN where all cases with weight are of one kind or a score is NaN.
    """
    positive, negative = _weights_by_score(scores, labels, weights)
    found, called = positive.cumsum(1), (positive + negative).cumsum(1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    values = _divided((positive * precision).sum(1), positive.sum(1))
    values[negative.sum(1) == 0] = np.nan
    return values


def _weights_by_score(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positive and of negative cases at every score, highest first, each [R, scores]."""
    if len(scores) == 0:
        return np.zeros((1, 1)), np.zeros((1, 1))
    weights = np.ones((1, len(scores))) if weights is None else np.asarray(weights, dtype=float)
    if np.isnan(scores).any():
        # They have no order, and sorting would take that of the table for one.
        nothing = np.zeros((len(weights), 1))
        return nothing, nothing
    order = np.argsort(-np.asarray(scores), kind="stable")
    ordered = np.asarray(scores)[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    is_positive = np.asarray(labels, dtype=float)[order]
    weights = weights[:, order]
    return (
        np.add.reduceat(weights * is_positive, starts, axis=1),
        np.add.reduceat(weights * (1 - is_positive), starts, axis=1),
    )


def _divided(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.divide(values, by, out=np.full(values.shape, np.nan), where=by > 0)
