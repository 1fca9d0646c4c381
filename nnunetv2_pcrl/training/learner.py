"""What the parts of a self-supervised training share: its settings, state and log."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.progress_bar import EpochBar
from nnunetv2_pcrl.monitoring.vocabulary import Series
from nnunetv2_pcrl.training.broken_steps import BrokenSteps
from nnunetv2_pcrl.training.forecast import Forecast
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.long_run import LongRun
from nnunetv2_pcrl.training.termination import TerminationNotice
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.drawn import Recipe


@dataclass(frozen=True)
class StepLoss:
    """What a method's step gives to the trainer.

    Where several processes share the batch, the mean over them is the value of the whole batch.

    Attributes:
        loss: scalar without gradient.
        numbers: scalars without gradient by log name, averaged over the epoch.
    """

    loss: Tensor
    numbers: Mapping[str, Tensor]


class Learner(LongRun, ABC):
    """nnU-Net's trainer without labels, as the parts of a self-supervised training share it.

    `saved_run.py` is about its files, `stepped_run.py` about its steps, `ssl_trainer.py` about the
    rest of nnU-Net's hooks.
    """

    is_ddp: bool

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ):
        super().__init__(plans, configuration, fold, dataset_json, device)
        if self.is_cascaded:
            raise ValueError(
                f"Pretraining with {configuration} is not possible: it needs the segmentation of "
                f"{self.configuration_manager.previous_stage_name}. Pretrain with that "
                f"configuration or with 3d_fullres."
            )
        self.settings = self.derive_settings()
        self.num_epochs = self.settings.num_epochs
        self.num_iterations_per_epoch = self.settings.num_iterations_per_epoch
        self.num_val_iterations_per_epoch = self.settings.num_val_iterations_per_epoch
        self.initial_lr = self.settings.initial_lr
        self.weight_decay = self.settings.weight_decay
        self.joint_batch = JointBatch.of_this_process(self.settings.batch_size)
        self._step = 0
        self._epoch_outputs: list[dict[str, float]] = []
        self._termination = TerminationNotice()
        self._train_epoch_began = 0.0
        self._broken_steps = BrokenSteps()
        self._reported_cases: dict[str, str] = {}
        self.guard = Guard(self.print_to_log_file)
        self._bar = EpochBar("", 0, 0, is_wanted=False)
        self._forecast: Forecast | None = Forecast()
        self._fill_log(0)

    # What a subclass defines

    @abstractmethod
    def derive_settings(self) -> PretrainingSettings:
        """The settings, from the plans and the trainer's name."""

    @abstractmethod
    def recipe(self) -> Recipe:
        """How views are drawn."""

    @abstractmethod
    def measured_channels(self, cases: Sequence[str]) -> Channels:
        """What the channels of the training's images hold."""

    @abstractmethod
    def values_per_image(self) -> int:
        """Values of all views of an image, over all channels, as a batch holds them."""

    @abstractmethod
    def make_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser, at the learning rate of the first epoch."""

    @abstractmethod
    def log_keys(self) -> list[str]:
        """Names of everything that the method logs once per epoch."""

    @abstractmethod
    def series(self) -> Sequence[Series]:
        """What is logged of every step, as the progress bar calls it."""

    @abstractmethod
    def accumulate_gradients(
        self, batch: dict[str, Any], generator: torch.Generator, scale: float | Tensor
    ) -> StepLoss:
        """Adds the gradient of the loss, times the scale, to the network's parameters.

        The batch is on the device and holds the images of this process, `self.joint_batch.own`;
        every draw comes from the generator; forward passes run in `self.autocast()`.
        """

    @abstractmethod
    def evaluate(self, batch: dict[str, Any], generator: torch.Generator) -> StepLoss:
        """The loss of a batch without gradient; forward passes run in `self.autocast()`."""

    @abstractmethod
    def after_update(self) -> None:
        """What follows an optimiser step."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """What was trained, as checkpoints and the portable file say it."""

    @abstractmethod
    def portable_weights(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """Weights under the stock names of the planned network, and what to say about them."""

    @abstractmethod
    def print_epoch(self) -> None:
        """Writes the epoch's numbers into the log."""

    @abstractmethod
    def plot_progress(self) -> None:
        """Draws progress.png into the output folder, and whatever else shows the epoch."""

    # What its parts share

    def print_to_log_file(self, *args, **kwargs):
        """As nnU-Net, but said by the first process only."""
        if self.local_rank == 0:
            super().print_to_log_file(*args, **kwargs)

    def _fill_log(self, num_epochs: int) -> None:
        """Gives each of our names in nnU-Net's log so many entries; those that are missing are NaN.

        nnU-Net's logger refuses names that it does not know, and values that are not the next ones.
        An older checkpoint may lack a name, and an epoch without a finite loss lacks most values.
        """
        logging = self.logger.local_logger.my_fantastic_logging
        own = ("data_wait_share", "images_per_second", "train_gradient_norm")
        for key in (*self.log_keys(), *own):
            values = logging.setdefault(key, [])
            values += [math.nan] * (num_epochs - len(values))

    def _log_means(self, phase: str, numbers: Mapping[str, float]) -> None:
        """Logs the numbers of an epoch; NaN for a loss that no step has."""
        for name, mean in ({"loss": math.nan} | dict(numbers)).items():
            key = f"{phase}_losses" if name == "loss" else f"{phase}_{name}"
            self.logger.log(key, mean, self.current_epoch)

    @contextmanager
    def _without_reducer(self) -> Iterator[None]:
        """Hides the other processes from nnU-Net, which would wrap the network in DDP.

        DDP averages after every backward pass and expects a gradient of every parameter. Here a
        step has many passes, and heads of levels that were not drawn have no gradient.
        """
        is_ddp, self.is_ddp = self.is_ddp, False
        try:
            yield
        finally:
            self.is_ddp = is_ddp

    def _begin_epoch_with(self, outputs: list[dict[str, float]]) -> None:
        """The next epoch has these steps behind it already."""
        self._epoch_outputs = outputs
        left = self.settings.num_iterations_per_epoch - len(outputs)
        self.num_iterations_per_epoch = max(0, left)
