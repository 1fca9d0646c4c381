"""Pace: after how many epochs a training is where its twin ends."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Single epochs scatter; a twentieth of a long training where that is more.
FEWEST_EPOCHS = 3


@dataclass(frozen=True)
class Pace:
    """When the end of the twin is reached.

    Attributes:
        epochs: after which the mean curve is there for the first time; None if it never is.
        num_epochs: of the mean curve.
        num_reached: pairs in which the curve reaches the end of its own twin.
        num_pairs: of curves.
    """

    epochs: int | None
    num_epochs: int
    num_reached: int
    num_pairs: int

    def __str__(self) -> str:
        when = "not reached" if self.epochs is None else f"{self.epochs} of {self.num_epochs}"
        return f"{when} ({self.num_reached} of {self.num_pairs} runs)"


def pace(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Pace | None:
    """Reads off curves when they reach the end of the twin's.

    The end of the twin is the mean of its last epochs, three of them or a twentieth of all. A curve
    is there when the mean of as many epochs is.

    Args:
        pairs: the values of all epochs of a training and of its twin, higher is better. Those with
            fewer epochs than that, or with values that are not finite, are left out.

    Returns:
        None where no pair is left.
    """
    reached, ends, smooth = [], [], []
    for own, twin in pairs:
        window = max(FEWEST_EPOCHS, len(twin) // 20)
        if min(len(own), len(twin)) < window or not np.isfinite([*own, *twin]).all():
            continue
        means, of_twin = (
            np.convolve(values, np.full(window, 1 / window), mode="valid") for values in (own, twin)
        )
        end = of_twin[-1]
        # Epoch by epoch from the first one on, before which there is no mean.
        smooth.append([*[-np.inf] * (window - 1), *means])
        ends.append(end)
        reached.append(bool(means.max() >= end))
    if not ends:
        return None
    length = min(map(len, smooth))
    mean = np.mean([values[:length] for values in smooth], axis=0)
    there = np.flatnonzero(mean >= np.mean(ends))
    epochs = int(there[0]) + 1 if len(there) else None
    return Pace(epochs, length, sum(reached), len(reached))
