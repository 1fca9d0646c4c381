"""The fine-tuning of any method's weights: nnU-Net's own training, started from them."""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import Tensor

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.pretraining import Pretraining
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.settings.environment import WORKERS_VARIABLE, environment_with
from nnunetv2_pcrl.tasks.segmentation.finetune_progress import FinetuneProgress
from nnunetv2_pcrl.tasks.segmentation.finetune_schedule import (
    FinetuneLRScheduler,
    FinetuneSchedule,
    parameter_groups,
)
from nnunetv2_pcrl.tasks.segmentation.seeded_batches import (
    seed_of,
    seeded_augmenter,
)
from nnunetv2_pcrl.tasks.segmentation.settings import (
    FinetuneSettings,
    finetune_section,
    settings_of_variant,
)
from nnunetv2_pcrl.tasks.segmentation.validation_pictures import (
    PICTURE_NAME,
    draw_validation_cases,
)
from nnunetv2_pcrl.tasks.start import Start, forget_report, start_from_weights, unwrapped
from nnunetv2_pcrl.tasks.started_run import StartedRun
from nnunetv2_pcrl.tasks.variant_words import settings_of_words
from nnunetv2_pcrl.training.checkpoints import check_can_go_on, read_checkpoint
from nnunetv2_pcrl.weights.atomic import replaced_atomically
from nnunetv2_pcrl.weights.fresh import fixed_seed

_LENGTH = "num_epochs"


class FinetuneTrainer(StartedRun):
    """Differs from nnUNetTrainer in the weights it starts from, and in nothing else by default.

    `-tr nnUNetTrainer` with the same plans is its from-scratch twin, and so is the variant
    `_fromScratch`, with the same schedule. Weights are loaded at the
    start of a fresh training only; resuming, validation and prediction need no weights file.
    """

    pretraining: Pretraining
    variant_epochs: int | None = None
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
        section = finetune_section(self.configuration_manager.configuration)
        self.finetune_settings = FinetuneSettings.from_section({**section, **self.variant})
        if self.variant_epochs is not None:
            self.num_epochs = self.variant_epochs
        if self.finetune_settings.peak_lr is not None:
            self.initial_lr = self.finetune_settings.peak_lr
        self._stem_at_initialisation: Tensor | None = None

    @classmethod
    def named(cls, name: str, method: type[Method], words: tuple[str, ...]) -> type | None:
        """The trainer of a method's weights and of variants; None if words mean nothing."""
        attributes: dict[str, Any] = {"pretraining": Pretraining.of_trainer(name)}
        variant = settings_of_words(words, method, _settings_of_word)
        if variant is None:
            return None
        attributes["variant_epochs"] = variant.pop(_LENGTH, None)
        attributes["variant"] = variant
        return type(name, (cls,), attributes)

    def initialize(self):
        """As nnU-Net, from the seed if there is one; remembers the stem.

        The stem shows whether somebody loads other weights.
        """
        seed = self.finetune_settings.seed
        with nullcontext() if seed is None else fixed_seed(seed):
            super().initialize()
        self._stem_at_initialisation = self._stem().clone()

    def configure_optimizers(self):
        """As nnU-Net, unless the settings ask for a warm-up or for a frozen encoder."""
        optimizer, lr_scheduler = super().configure_optimizers()
        if not self.finetune_settings.has_own_schedule:
            return optimizer, lr_scheduler
        schedule = FinetuneSchedule(self.finetune_settings, self.initial_lr, self.num_epochs)
        if schedule.caution:
            self.print_to_log_file(schedule.caution)
        groups = parameter_groups(unwrapped(self.network))
        optimizer = type(optimizer)(groups, **optimizer.defaults)
        return optimizer, FinetuneLRScheduler(optimizer, schedule)

    def get_dataloaders(self):
        """As nnU-Net; with a seed, the same batches whatever the number of workers.

        A training that goes on takes the batches that come next.
        """
        seed = self.finetune_settings.seed
        if seed is None:
            return super().get_dataloaders()
        num_workers = get_allowed_n_proc_DA()
        # Without processes.
        with environment_with({WORKERS_VARIABLE: "0"}):
            loaders = [augmenter.data_loader for augmenter in super().get_dataloaders()]
        steps = (self.num_iterations_per_epoch, self.num_val_iterations_per_epoch)
        workers = (num_workers, (num_workers + 1) // 2)
        return tuple(
            seeded_augmenter(
                loader,
                (seed, stream, self.local_rank),
                self.current_epoch * steps[stream],
                workers[stream],
                self.device.type == "cuda",
            )
            for stream, loader in enumerate(loaders)
        )

    def on_train_epoch_start(self):
        """As nnU-Net; with a seed, what the network draws (dropout) is that of the epoch."""
        super().on_train_epoch_start()
        if self.finetune_settings.seed is not None:
            torch.manual_seed(seed_of(self.finetune_settings.seed, self.current_epoch))

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """As nnU-Net; a resumed training does not start from pretrained weights again.

        Raises:
            ValueError: if it is no whole checkpoint of this training, with the remedy.
        """
        checkpoint = read_checkpoint(filename_or_checkpoint)
        if not self.was_initialized:
            self.initialize()
        check_can_go_on(
            filename_or_checkpoint,
            checkpoint,
            type(self).__name__,
            unwrapped(self.network).state_dict(),
            self.optimizer.state_dict(),
        )
        super().load_checkpoint(filename_or_checkpoint)
        self._resumed = True

    def on_train_start(self):
        """As the base; prepares the curves."""
        super().on_train_start()
        self.progress = FinetuneProgress(self)

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint, never half-written."""
        if self.local_rank != 0 or self.disable_checkpointing:
            super().save_checkpoint(filename)
            return
        with self._explained_writing(filename), replaced_atomically(filename) as temporary:
            super().save_checkpoint(str(temporary))

    def perform_actual_validation(self, save_probabilities: bool = False):
        """As nnU-Net; then the best, the median and the worst case are drawn."""
        super().perform_actual_validation(save_probabilities)
        if self.local_rank == 0:
            with Guard(self.print_to_log_file)(PICTURE_NAME):
                draw_validation_cases(self)

    def _start_from_pretrained_weights(self) -> None:
        settings = self.finetune_settings
        forget_report(self)
        before = self._stem_at_initialisation
        if before is not None and not torch.equal(self._stem(), before):
            # nnU-Net loads the file of -pretrained_weights before it starts the training.
            if settings.from_scratch:
                raise ValueError(
                    f"{type(self).__name__} starts from no weights, but -pretrained_weights gave "
                    f"some. Leave them out, or use "
                    f"-tr {self.pretraining.trainer_of('Finetune')}."
                )
            self.print_to_log_file("Keeping the weights given by -pretrained_weights")
            return
        if settings.from_scratch:
            self.print_to_log_file("Training from scratch, with the schedule of fine-tuning")
            return
        start = Start(
            self.pretraining,
            settings.weights,
            settings.transductive,
            settings.transfer,
            settings.other_dimension,
        )
        start_from_weights(self, start)

    def _stem(self) -> Tensor:
        """The network's first weight: shows whether somebody loaded weights."""
        return next(unwrapped(self.network).parameters()).detach()


def _settings_of_word(word: str) -> dict[str, Any] | None:
    """Of fine-tuning; a length, which is no setting of the plans, is one among them."""
    match = re.fullmatch(r"([1-9]\d*)epochs?", word)
    return {_LENGTH: int(match[1])} if match else settings_of_variant(word)
