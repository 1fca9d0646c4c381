"""AdamW with a faster linear layer, and rates that rise and then fall along a half cosine."""

from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nnunetv2_pcrl.tasks.encoder.network import Classifier
from nnunetv2_pcrl.tasks.encoder.settings import EncoderSettings
from nnunetv2_pcrl.training.schedule import rate_factor


class WarmUpCosine(LRScheduler):
    """Stepped by epoch as nnU-Net steps schedules.

    Each group rises linearly to its own rate in the first epochs, then
    rate(epoch) = rate (1 + cos(pi part)) / 2 with the part of the rest that is done.
    """

    def __init__(self, optimizer: Optimizer, num_epochs: int, warmup_part: float):
        """Sets the rates of epoch 0.

        Args:
            optimizer: its groups have "highest_lr".
            num_epochs: length of the training.
            warmup_part: part of it, in [0, 1).
        """
        self.num_epochs = num_epochs
        self.warmup_epochs = min(round(warmup_part * num_epochs), num_epochs - 1)
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        """Part of the highest rate in an epoch, in [0, 1]."""
        return rate_factor(epoch, self.num_epochs, "cosine", self.warmup_epochs)

    def step(self, epoch: int | None = None) -> None:
        """Sets the rates of an epoch; without one (as torch calls it once) those of epoch 0."""
        factor = self.factor(epoch or 0)
        for group in self.optimizer.param_groups:
            group["lr"] = factor * group["highest_lr"]
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def adamw(network: Classifier, settings: EncoderSettings) -> AdamW:
    """The optimiser of everything that learns; a linear probe leaves the encoder out.

    nnU-Net's log shows the rate of the first group, the linear layer.

    Args:
        network: a `Classifier`.
        settings: of the training.
    """
    parts = [network.linear] if settings.linear_probe else [network.linear, network.encoder]
    optimizer = AdamW([{"params": list(part.parameters())} for part in parts])
    take_rates(optimizer, settings)
    return optimizer


def take_rates(optimizer: Optimizer, settings: EncoderSettings) -> None:
    """Gives the optimiser the rates of the settings, also after it was loaded with others."""
    rates = (settings.head_lr, settings.initial_lr)
    for group, rate in zip(optimizer.param_groups, rates, strict=False):
        group["highest_lr"] = rate
        group["weight_decay"] = settings.weight_decay
