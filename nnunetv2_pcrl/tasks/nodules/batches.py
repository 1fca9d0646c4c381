"""Balanced batches: every one holds nodules, though there are five hundred others for each."""

import torch
from torch import Tensor

from nnunetv2_pcrl.views.seeding import seeded_generator

# Ratios that are in use; PCRLv2's authors take two (their LUNA16 data loader).
MIN_NEGATIVES, MAX_NEGATIVES = 1, 3
# Tells these draws apart from others of the same seed.
ORDER_STREAM = 31


class BalancedOrder:
    """Candidates by the number of a sample: a nodule, then so many others, and so on without end.

    Number i is a function of the seed and i, so that a training goes on where it stopped and
    processes share a batch. Of a class, every candidate comes once before any comes again.
    """

    def __init__(self, labels: Tensor, negatives_per_positive: int, seed: int):
        """Checks that both classes are there.

        Args:
            labels: 0 or 1 of all candidates, shape [N].
            negatives_per_positive: 1 to 3.
            seed: of all draws.

        Raises:
            ValueError: if a class is absent, or for another ratio.
        """
        if not MIN_NEGATIVES <= negatives_per_positive <= MAX_NEGATIVES:
            raise ValueError(
                f"negatives_per_positive is {negatives_per_positive}; it can be {MIN_NEGATIVES} "
                f"to {MAX_NEGATIVES}."
            )
        self.group = 1 + negatives_per_positive
        self._seed = seed
        self._classes = {value: torch.nonzero(labels == value).flatten() for value in (0, 1)}
        if any(len(indices) == 0 for indices in self._classes.values()):
            others, nodules = (len(indices) for indices in self._classes.values())
            raise ValueError(
                f"There are {nodules} nodules and {others} other candidates in the training "
                f"scans; a batch needs both."
            )
        # The latest shuffling of each class: one of all others takes milliseconds.
        self._shuffled: dict[int, tuple[int, Tensor]] = {}

    def row(self, number: int) -> int:
        """The candidate of a sample, as its place among the labels."""
        group, place = divmod(number, self.group)
        if place == 0:
            return self._candidate(1, group)
        return self._candidate(0, group * (self.group - 1) + place - 1)

    def _candidate(self, value: int, number: int) -> int:
        indices = self._classes[value]
        turn, place = divmod(number, len(indices))
        if self._shuffled.get(value, (None,))[0] != turn:
            generator = seeded_generator(self._seed, ORDER_STREAM, value, turn)
            order = torch.randperm(len(indices), generator=generator)
            self._shuffled[value] = turn, indices[order]
        return int(self._shuffled[value][1][place])
