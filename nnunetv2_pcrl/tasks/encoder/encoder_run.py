"""How a run of the encoder is built: settings, network, optimiser, and how it goes on later."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import autocast

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.pretraining import Pretraining
from nnunetv2_pcrl.methods.registry import METHOD_SECTIONS
from nnunetv2_pcrl.settings.plans_file import read_section
from nnunetv2_pcrl.tasks.encoder.checkpoint import check_classes, checkpoint_of
from nnunetv2_pcrl.tasks.encoder.network import Classifier
from nnunetv2_pcrl.tasks.encoder.progress import OWN_NAMES
from nnunetv2_pcrl.tasks.encoder.schedule import WarmUpCosine, adamw, take_rates
from nnunetv2_pcrl.tasks.encoder.settings import EncoderSettings
from nnunetv2_pcrl.tasks.encoder.task import Task
from nnunetv2_pcrl.tasks.start import unwrapped
from nnunetv2_pcrl.tasks.started_run import StartedRun
from nnunetv2_pcrl.tasks.variant_words import settings_of_words
from nnunetv2_pcrl.training.broken_steps import BrokenSteps
from nnunetv2_pcrl.training.checkpoints import changes_of, check_can_go_on, read_checkpoint
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.weights.atomic import replaced_atomically


class EncoderRun(StartedRun):
    """The planned encoder with a linear layer in nnU-Net's trainer, before it learns anything.

    Attributes:
        task: what it is for.
        pretraining: whose weights it takes.
        variant: settings by its name, which come before those of the plans file.
    """

    is_ddp: bool

    task: Task
    pretraining: Pretraining
    variant: Mapping[str, Any] = {}

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
                f"{type(self).__name__} with {configuration} is not possible: it needs the "
                f"segmentation of {self.configuration_manager.previous_stage_name}. Use that "
                f"configuration or 3d_fullres."
            )
        self.settings = self._settings_of(self.configuration_manager)
        self.num_epochs = self.settings.num_epochs
        self.num_iterations_per_epoch = self.settings.num_iterations_per_epoch
        # All validation cases are one "batch".
        self.num_val_iterations_per_epoch = 1
        self.initial_lr = self.settings.initial_lr
        self.weight_decay = self.settings.weight_decay
        self.save_every = 5
        batch_size = self.settings.images_per_step(self.configuration_manager)
        self.joint_batch = JointBatch.of_this_process(batch_size)
        self._weights_name = "checkpoint_final.pth"
        self._broken_steps = BrokenSteps()
        self._fill_log(0)

    @abstractmethod
    def read_classes(self) -> ClassTable:
        """What there is to learn."""

    @classmethod
    def named(cls, name: str, method: type[Method], words: tuple[str, ...]) -> type | None:
        """The trainer of a method's weights and of variants; None if words mean nothing."""
        variant = settings_of_words(words, method, cls.task.settings.of_word)
        if variant is None:
            return None
        pretraining = Pretraining.of_trainer(name)
        own = {"__module__": cls.__module__, "pretraining": pretraining, "variant": variant}
        return type(name, (cls,), own)

    @classmethod
    def _settings_of(cls, configuration_manager) -> EncoderSettings:
        name = cls.task.section
        section = read_section(configuration_manager.configuration, name, METHOD_SECTIONS)
        return cls.task.settings.from_values({**section, **cls.variant}, name)

    # Building: network, optimiser, data

    @classmethod
    def build_network_architecture(
        cls,
        plans_manager,
        configuration_manager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> Classifier:
        """The planned encoder with a linear layer.

        Raises:
            ValueError: if nnU-Net asks for it in order to segment.
        """
        if not enable_deep_supervision:
            raise ValueError(
                f"{cls.__name__} classifies, and nnUNetv2_predict segments: predict with "
                f"{cls.task.command}."
            )
        planned = nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, 1, enable_deep_supervision
        )
        settings = cls._settings_of(configuration_manager)
        return Classifier(planned, num_output_channels, settings.stages, settings.dropout)

    def initialize(self):
        """Reads the classes, seeds the network's initialisation and lets nnU-Net build it."""
        self.classes = self.read_classes()
        # nnU-Net gives its network as many outputs as there are labels.
        self.label_manager = SimpleNamespace(num_segmentation_heads=len(self.classes.names))
        torch.manual_seed(self.settings.seed)
        with self._without_reducer():
            super().initialize()
        self.joint_batch.broadcast(unwrapped(self.network))

    @contextmanager
    def _without_reducer(self) -> Iterator[None]:
        """Hides the other processes from nnU-Net, which would wrap the network in DDP.

        The step averages gradients itself, so that it works on any device.
        """
        is_ddp, self.is_ddp = self.is_ddp, False
        try:
            yield
        finally:
            self.is_ddp = is_ddp

    def _set_batch_size_and_oversample(self):
        self.batch_size = len(self.joint_batch.own)

    def _build_loss(self):
        """None: the step computes the loss."""

    def plot_network_architecture(self):
        """Nothing: nnU-Net's drawing needs another package and seldom works."""

    def set_deep_supervision_enabled(self, enabled: bool):
        """Nothing: there is no decoder."""

    def configure_optimizers(self):
        """AdamW; rates that rise and then fall along a half cosine."""
        network = unwrapped(self.network)
        network.encoder.requires_grad_(not self.settings.linear_probe)
        optimizer = adamw(network, self.settings)
        return optimizer, WarmUpCosine(optimizer, self.num_epochs, self.settings.warmup_part)

    def autocast(self) -> AbstractContextManager:
        """Mixed precision on CUDA and nowhere else, as in nnU-Net."""
        return autocast("cuda", enabled=True) if self.device.type == "cuda" else nullcontext()

    # Logs, checkpoints, results

    def print_to_log_file(self, *args, **kwargs):
        """As nnU-Net, but said by the first process only."""
        if self.local_rank == 0:
            super().print_to_log_file(*args, **kwargs)

    def _fill_log(self, num_epochs: int) -> None:
        """Gives our names in nnU-Net's log so many entries; its logger refuses unknown names."""
        logging = self.logger.local_logger.my_fantastic_logging
        for name in OWN_NAMES:
            values = logging.setdefault(name, [])
            values += [math.nan] * (num_epochs - len(values))

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint plus classes and settings, never half-written."""
        if self.local_rank != 0:
            return
        if self.disable_checkpointing:
            self.print_to_log_file("No checkpoint written, checkpointing is disabled")
            return
        with self._explained_writing(filename), replaced_atomically(filename) as temporary:
            torch.save(checkpoint_of(self, self.classes), temporary)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Resumes, and says which settings were changed since the checkpoint.

        Raises:
            ValueError: if it is no whole checkpoint of this training, with the remedy.
        """
        stored = read_checkpoint(filename_or_checkpoint)
        if not self.was_initialized:
            self.initialize()
        check_classes(stored, self.classes)
        check_can_go_on(
            filename_or_checkpoint,
            stored,
            type(self).__name__,
            unwrapped(self.network).state_dict(),
            self.optimizer.state_dict(),
        )
        with self._without_reducer():
            super().load_checkpoint(filename_or_checkpoint)
        self._resumed = True
        self._weights_name = Path(filename_or_checkpoint).name
        self._fill_log(self.current_epoch)
        take_rates(self.optimizer, self.settings)
        for change in changes_of(stored["settings"], self.settings.as_plain()):
            self.print_to_log_file(f"WARNING: {change}; going on with it")
