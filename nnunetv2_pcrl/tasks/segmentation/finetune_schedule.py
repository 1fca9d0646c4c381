"""Learning rates of fine-tuning: new layers first, then the whole network, then nnU-Net's plan."""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings

# nnU-Net's log shows the rate of the first group: that of layers which always learn.
PARTS = ("heads", "decoder", "encoder")
POLY_EXPONENT = 0.9


# The published schedule takes 50 of 1000 epochs for the decoder and 50 for the warm-up of the whole
# network, 15 and 15 of 150.
SAWTOOTH_PART, SAWTOOTH_MOST_EPOCHS, SAWTOOTH_LEAST_EPOCHS = 10, 50, 2
# Fewer than it was published for.
SAWTOOTH_FEW_EPOCHS = 150


@dataclass(frozen=True)
class FinetuneSchedule:
    """The rate of each part of the network as a function of the epoch.

    Attributes:
        settings: lengths of the phases, and which part comes from the pretraining.
        initial_lr: rate at the end of the warm-up.
        num_epochs: length of the whole training.
    """

    settings: FinetuneSettings
    initial_lr: float
    num_epochs: int

    def __post_init__(self) -> None:
        """Refuses phases that leave no epoch for the training itself.

        Raises:
            ValueError: with the lengths.
        """
        settings = self.settings
        begin = sum(self.phases)
        if max(begin, settings.freeze_encoder_epochs) < self.num_epochs:
            return
        if settings.sawtooth and begin >= self.num_epochs:
            raise ValueError(
                f"a training of {self.num_epochs} epochs has no room for sawtooth, which takes "
                f"{begin} before the training itself; train for {begin + 1} or more"
            )
        raise ValueError(
            f"a training of {self.num_epochs} epochs has no room for "
            f"warmup_new_epochs={settings.warmup_new_epochs}, "
            f"warmup_epochs={settings.warmup_epochs} and "
            f"freeze_encoder_epochs={settings.freeze_encoder_epochs}; lower them in the plans, or "
            f"train longer"
        )

    @property
    def caution(self) -> str:
        """What a person should know before the training; empty if nothing."""
        settings = self.settings
        if not settings.sawtooth or settings.finetune_lr or self.num_epochs >= SAWTOOTH_FEW_EPOCHS:
            return ""
        return (
            f"Caution: the rate of sawtooth, {self.initial_lr:g}, is that of trainings of "
            f"{SAWTOOTH_FEW_EPOCHS} epochs or more, and this one has {self.num_epochs}: in 10 "
            f"epochs it learned far less than nnU-Net's own schedule. Train longer, raise "
            f"finetune_lr, or leave sawtooth out."
        )

    @property
    def phases(self) -> tuple[int, int, int]:
        """Epochs in which the first parts alone warm up and decay, then all parts warm up.

        Source: the published "sawtooth" fine-tuning of convolutional networks (OpenMind, Wald et
        al. 2025), whose lengths for 1000 and for 150 epochs follow from one rule here.
        """
        if not self.settings.sawtooth:
            return self.settings.warmup_new_epochs, 0, self.settings.warmup_epochs
        part = min(self.num_epochs // SAWTOOTH_PART, SAWTOOTH_MOST_EPOCHS)
        part = max(part, SAWTOOTH_LEAST_EPOCHS)
        return part // 2, part - part // 2, part

    def learns_first(self, part: str) -> bool:
        """Whether a part learns before the whole network does: the new ones, or all but one."""
        if self.settings.sawtooth:
            return part != "encoder"
        return part == "heads" or (part == "decoder" and self.settings.transfer == "encoder")

    def rate(self, part: str, epoch: int) -> float:
        """Learning rate of a part in an epoch.

        Linear up to `initial_lr` for the first parts alone, with `sawtooth` then down to zero
        again, linear for all parts, then polynomial decay as in nnU-Net over the epochs that are
        left. A rate of 0 leaves the part as it is.
        """
        if part == "encoder" and epoch < self.settings.freeze_encoder_epochs:
            return 0.0
        warmup_first, decay_first, warmup_all = self.phases
        if epoch < warmup_first + decay_first and not self.learns_first(part):
            return 0.0
        if epoch < warmup_first:
            return self.initial_lr * (epoch + 1) / warmup_first
        epoch -= warmup_first
        if epoch < decay_first:
            return self._decayed(epoch, decay_first)
        epoch -= decay_first
        if epoch < warmup_all:
            return self.initial_lr * (epoch + 1) / warmup_all
        return self._decayed(epoch - warmup_all, self.num_epochs - sum(self.phases))

    def _decayed(self, epoch: int, num_epochs: int) -> float:
        return self.initial_lr * (1 - epoch / num_epochs) ** POLY_EXPONENT


class FinetuneLRScheduler(LRScheduler):
    """Sets the rates of a `FinetuneSchedule`, stepped by epoch as nnU-Net steps schedules."""

    def __init__(self, optimizer: Optimizer, schedule: FinetuneSchedule):
        self.schedule = schedule
        super().__init__(optimizer)

    def step(self, epoch: int | None = None) -> None:
        """Sets the rates of an epoch; without one (as torch calls it once) those of epoch 0."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(group["part"], epoch or 0)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def parameter_groups(network: nn.Module) -> list[dict]:
    """The network's parameters by part, in the order of `PARTS`, for an optimiser."""
    groups: dict[str, list[nn.Parameter]] = {part: [] for part in PARTS}
    for name, parameter in network.named_parameters():
        groups[part_of(name)].append(parameter)
    return [{"params": groups[part], "part": part} for part in PARTS]


def part_of(name: str) -> str:
    """The part of the network that a parameter belongs to, one of `PARTS`."""
    if name.startswith("encoder."):
        return "encoder"
    return "heads" if ".seg_layers." in name else "decoder"
