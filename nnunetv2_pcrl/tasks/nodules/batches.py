"""Balanced batches: every one holds nodules, though there are five hundred others for each."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

# Ratios that are in use; PCRLv2's authors take two (their LUNA16 data loader).
MIN_NEGATIVES, MAX_NEGATIVES = 1, 3


class BalancedBatches(Sampler[list[int]]):
    """Batches of candidates with a fixed ratio of classes, as a `batch_sampler`.

    Candidates of a class are drawn without replacement until all were seen, then anew: each of a
    class is seen about as often as any other.
    """

    def __init__(
        self,
        labels: Tensor,
        batch_size: int,
        num_batches: int,
        negatives_per_positive: int,
        generator: torch.Generator,
    ):
        """Checks that the ratio can be kept.

        Args:
            labels: 0 or 1 of all candidates, shape [N].
            batch_size: candidates per batch; a multiple of one positive and its negatives.
            num_batches: of an epoch.
            negatives_per_positive: 1 to 3.
            generator: random source.

        Raises:
            ValueError: if a class is absent, or if the numbers do not fit.
        """
        group = 1 + negatives_per_positive
        if not MIN_NEGATIVES <= negatives_per_positive <= MAX_NEGATIVES:
            raise ValueError(
                f"negatives_per_positive is {negatives_per_positive}; it can be {MIN_NEGATIVES} "
                f"to {MAX_NEGATIVES}."
            )
        if batch_size < group or batch_size % group:
            raise ValueError(
                f"A batch of {batch_size} is no multiple of {group}, one nodule with "
                f"{negatives_per_positive} others. Use {max(1, round(batch_size / group)) * group}."
            )
        self._classes = {value: torch.nonzero(labels == value).flatten() for value in (1, 0)}
        if any(len(indices) == 0 for indices in self._classes.values()):
            counts = {value: len(indices) for value, indices in self._classes.items()}
            raise ValueError(
                f"There are {counts[1]} nodules and {counts[0]} other candidates in the training "
                f"scans; a batch needs both."
            )
        num_positives = batch_size // group
        self._numbers = {1: num_positives, 0: batch_size - num_positives}
        self._num_batches = num_batches
        self._generator = generator
        self._waiting = {1: [], 0: []}

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        """Draws an epoch; the next one goes on where it ends."""
        for _ in range(self._num_batches):
            batch = [index for value in (1, 0) for index in self._draw(value)]
            order = torch.randperm(len(batch), generator=self._generator)
            yield [batch[place] for place in order.tolist()]

    def _draw(self, value: int) -> list[int]:
        waiting = self._waiting[value]
        while len(waiting) < self._numbers[value]:
            indices = self._classes[value]
            order = torch.randperm(len(indices), generator=self._generator)
            waiting += indices[order].tolist()
        drawn = waiting[: self._numbers[value]]
        del waiting[: self._numbers[value]]
        return drawn
