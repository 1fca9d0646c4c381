"""Learning rates of fine-tuning: new layers first, then the whole network, then nnU-Net's plan."""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings

# nnU-Net's log shows the rate of the first group: that of layers which always learn.
PARTS = ("heads", "decoder", "encoder")
POLY_EXPONENT = 0.9


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
        begin = self.settings.warmup_new_epochs + self.settings.warmup_epochs
        if max(begin, self.settings.freeze_encoder_epochs) >= self.num_epochs:
            raise ValueError(
                f"a training of {self.num_epochs} epochs has no room for "
                f"warmup_new_epochs={self.settings.warmup_new_epochs}, "
                f"warmup_epochs={self.settings.warmup_epochs} and "
                f"freeze_encoder_epochs={self.settings.freeze_encoder_epochs}; lower them in the "
                f'"pcrlv2" section of the plans or train longer'
            )

    def is_new(self, part: str) -> bool:
        """Whether a part of the network is not loaded."""
        return part == "heads" or (part == "decoder" and self.settings.transfer == "encoder")

    def rate(self, part: str, epoch: int) -> float:
        """Learning rate of a part in an epoch.

        Linear up to `initial_lr` for new parts alone, linear for all parts, then polynomial decay
        as in nnU-Net over the epochs that are left. A rate of 0 leaves the part as it is.
        """
        if part == "encoder" and epoch < self.settings.freeze_encoder_epochs:
            return 0.0
        first, second = self.settings.warmup_new_epochs, self.settings.warmup_epochs
        if epoch < first:
            return self.initial_lr * (epoch + 1) / first if self.is_new(part) else 0.0
        epoch -= first
        if epoch < second:
            return self.initial_lr * (epoch + 1) / second
        share = (epoch - second) / (self.num_epochs - first - second)
        return self.initial_lr * (1 - share) ** POLY_EXPONENT


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
