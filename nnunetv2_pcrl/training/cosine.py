"""Learning rate that falls along a half cosine, stepped by epoch as nnU-Net steps schedules."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class CosineLRScheduler(LRScheduler):
    """lr(epoch) = initial_lr (1 + cos(pi epoch / num_epochs)) / 2."""

    def __init__(self, optimizer: Optimizer, initial_lr: float, num_epochs: int):
        self.initial_lr = initial_lr
        self.num_epochs = num_epochs
        super().__init__(optimizer)

    def step(self, epoch: int | None = None) -> None:
        """Sets the rate of an epoch; without one (as torch calls it once) that of epoch 0."""
        rate = 0.5 * self.initial_lr * (1 + math.cos(math.pi * (epoch or 0) / self.num_epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
