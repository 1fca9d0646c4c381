"""Learning rates over a training, stepped by epoch as nnU-Net steps schedules."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nnunetv2_pcrl.methods.settings import ScheduleName


def rate_factor(epoch: int, num_epochs: int, schedule: ScheduleName, warmup_epochs: int) -> float:
    """Part of the highest learning rate in an epoch, in [0, 1].

    It rises linearly over the epochs of the warm-up. Then, with p the part of the others that is
    done, it is (1 + cos(pi p)) / 2, or (1 - p)^0.9 as in nnU-Net, or 1.

    Args:
        epoch: number, from 0.
        num_epochs: of the training.
        schedule: how it falls.
        warmup_epochs: fewer than the training has.
    """
    if epoch < warmup_epochs:
        return (epoch + 1) / (warmup_epochs + 1)
    part = (epoch - warmup_epochs) / (num_epochs - warmup_epochs)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * part))
    return (1 - part) ** 0.9 if schedule == "poly" else 1.0


class EpochSchedule(LRScheduler):
    """Gives every group of an optimiser the initial rate times `rate_factor`."""

    def __init__(
        self,
        optimizer: Optimizer,
        initial_lr: float,
        num_epochs: int,
        schedule: ScheduleName = "cosine",
        warmup_epochs: int = 0,
    ):
        """Sets the rate of epoch 0.

        Args:
            optimizer: whose groups all get the same rate.
            initial_lr: the highest rate.
            num_epochs: of the training.
            schedule, warmup_epochs: see `rate_factor`; a short training warms up for less.
        """
        self.initial_lr = initial_lr
        self.num_epochs = num_epochs
        self.schedule: ScheduleName = schedule
        self.warmup_epochs = min(warmup_epochs, num_epochs - 1)
        super().__init__(optimizer)

    def step(self, epoch: int | None = None) -> None:
        """Sets the rate of an epoch; without one (as torch calls it once) that of epoch 0."""
        factor = rate_factor(epoch or 0, self.num_epochs, self.schedule, self.warmup_epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = self.initial_lr * factor
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
