"""The trainer of classifications: nnU-Net's folders, logs and commands around another network."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import repeat
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import autocast

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.pretraining import Pretraining
from nnunetv2_pcrl.methods.registry import METHOD_SECTIONS
from nnunetv2_pcrl.settings.plans_file import CLASSIFICATION, read_section
from nnunetv2_pcrl.tasks.classification.augmentation import augmentation_of
from nnunetv2_pcrl.tasks.classification.checkpoint import check_classes, checkpoint_of
from nnunetv2_pcrl.tasks.classification.framing import framing_of
from nnunetv2_pcrl.tasks.classification.loss import probabilities, summed_loss
from nnunetv2_pcrl.tasks.classification.network import Classifier, prior_logits
from nnunetv2_pcrl.tasks.classification.predicting import case_logits
from nnunetv2_pcrl.tasks.classification.progress import (
    AUROC,
    AUROC_PER_CLASS,
    AVERAGE_PRECISION,
    OWN_NAMES,
    ClassificationProgress,
    epoch_text,
)
from nnunetv2_pcrl.tasks.classification.samples import CaseReader
from nnunetv2_pcrl.tasks.classification.schedule import WarmUpCosine, adamw, take_rates
from nnunetv2_pcrl.tasks.classification.scores import mean_of_defined, quick_scores
from nnunetv2_pcrl.tasks.classification.settings import (
    ClassificationSettings,
    settings_of_variant,
)
from nnunetv2_pcrl.tasks.classification.split import ClassSplit, read_table, split_cases
from nnunetv2_pcrl.tasks.classification.streams import InputStreams
from nnunetv2_pcrl.tasks.classification.validation import write_validation
from nnunetv2_pcrl.tasks.start import Start, forget_report, start_from_weights, unwrapped
from nnunetv2_pcrl.training.checkpoints import changes_of, check_can_go_on, read_checkpoint
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.long_run import LongRun
from nnunetv2_pcrl.training.update import means, update
from nnunetv2_pcrl.views.seeding import seeded_generator
from nnunetv2_pcrl.weights.atomic import remove_leftovers, replaced_atomically

# Enough for the mean and spread of a feature.
NUM_MEASURED_IMAGES = 256
# Tells the draws of dropout apart from others of the same seed.
DROPOUT_STREAM = 23


class ClassificationTrainer(LongRun):
    """Learns the classes of classes.csv with the planned encoder. "Best" is the highest mean AUROC.

    Weights are loaded at the start of a fresh training only; resuming, validation and prediction
    need no weights file. Several processes (-num_gpus) share the batch; the run is then the one of
    a single process with the same seed, but for rounding.
    """

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
                f"Classification with {configuration} is not possible: it needs the segmentation "
                f"of {self.configuration_manager.previous_stage_name}. Use that configuration or "
                f"3d_fullres."
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
        self._resumed = False
        self._weights_name = "checkpoint_final.pth"
        self._fill_log(0)

    @classmethod
    def named(cls, name: str, method: type[Method], words: tuple[str, ...]) -> type | None:
        """The trainer of a method's weights and of variants; None if a word means nothing.

        There is none either of two words that say different things of the same setting.
        """
        variant: dict[str, Any] = {}
        for word in words:
            if word in method.variants:
                continue
            settings = settings_of_variant(word)
            if settings is None or settings.keys() & variant.keys():
                return None
            variant |= settings
        pretraining = Pretraining.of_trainer(name)
        return type(name, (cls,), {"pretraining": pretraining, "variant": variant})

    @classmethod
    def _settings_of(cls, configuration_manager) -> ClassificationSettings:
        section = read_section(configuration_manager.configuration, CLASSIFICATION, METHOD_SECTIONS)
        return ClassificationSettings.from_values({**section, **cls.variant}, CLASSIFICATION)

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
                f"nnUNetv2_pcrl_predict_classes."
            )
        planned = nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, 1, enable_deep_supervision
        )
        settings = cls._settings_of(configuration_manager)
        return Classifier(planned, num_output_channels, settings.stages, settings.dropout)

    def initialize(self):
        """Reads the classes, seeds the network's initialisation and lets nnU-Net build it."""
        self.classes = read_table(Path(self.preprocessed_dataset_folder_base), self.settings)
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

    def do_split(self):
        """The cases of the fold of which a class is known; folds that are made keep patients."""
        if self.dataset_class is None:
            self.initialize()
        there = self.dataset_class.get_identifiers(self.preprocessed_dataset_folder)
        self.split: ClassSplit = split_cases(
            Path(self.preprocessed_dataset_folder_base), there, self.classes, self.fold
        )
        for remark in self.split.remarks:
            self.print_to_log_file(remark)
        return list(self.split.train.identifiers), list(self.split.val.identifiers)

    def get_dataloaders(self):
        """Training samples that go on where they stopped, and the validation cases, repeated.

        Of many validation cases the same ones are predicted in every epoch.
        """
        self.do_split()
        split, streams = self.split, self._streams()
        self._epoch_val = streams.some_cases(split.val, self.settings.max_val_cases)
        first_step = self.current_epoch * self.num_iterations_per_epoch
        training = streams.training(split.train, augmentation_of(self, self.settings), first_step)
        return training, repeat(streams.all_inputs(self._epoch_val))

    def _streams(self) -> InputStreams:
        framing = framing_of(self.configuration_manager.patch_size, self.settings)
        return InputStreams(
            CaseReader(self.preprocessed_dataset_folder, framing),
            self.joint_batch,
            self.settings.seed,
            get_allowed_n_proc_DA(),
            self.device.type == "cuda",
        )

    # Training

    def on_train_start(self):
        """Loads pretrained weights and lets the linear layer begin with the prevalences."""
        if self.local_rank == 0:
            remove_leftovers(self.output_folder)
        if not self.was_initialized:
            self.initialize()
        if not self._resumed:
            self._start_from_pretrained_weights()
        super().on_train_start()
        if not self._resumed:
            self._prepare_linear_layer()
        self.print_to_log_file(f"Settings: {self.settings.as_plain()}")
        if self.local_rank == 0:
            self._progress = ClassificationProgress(self, self.split)

    def _start_from_pretrained_weights(self) -> None:
        settings = self.settings
        forget_report(self)
        if settings.from_scratch:
            self.print_to_log_file("Training from scratch")
            return
        start = Start(
            self.pretraining,
            settings.weights,
            settings.transductive,
            other_dimension=settings.other_dimension,
        )
        start_from_weights(self, start)

    def _prepare_linear_layer(self) -> None:
        """Measures the features that it will see, and sets its bias to the prevalences."""
        network = unwrapped(self.network).eval()
        with torch.no_grad(), self.autocast():
            network.standardise.measure(
                network.pooled(batch["image"].to(self.device))
                for batch in self._streams().some_images(self.split.train, NUM_MEASURED_IMAGES)
            )
        logits = prior_logits(self.split.train.targets, self.classes.kind)
        with torch.no_grad():
            network.linear.bias.copy_(torch.from_numpy(logits))
        self.joint_batch.broadcast(network)

    def autocast(self) -> AbstractContextManager:
        """Mixed precision on CUDA and nowhere else, as in nnU-Net."""
        return autocast("cuda", enabled=True) if self.device.type == "cuda" else nullcontext()

    def on_train_epoch_start(self):
        """As nnU-Net; a frozen encoder stays in evaluation mode. Dropout is drawn by epoch."""
        super().on_train_epoch_start()
        if self.settings.linear_probe:
            unwrapped(self.network).encoder.eval()
        numbers = (self.settings.seed, DROPOUT_STREAM, self.current_epoch, self.joint_batch.rank)
        torch.manual_seed(seeded_generator(*numbers).initial_seed())
        self._epoch_began = time()

    def train_step(self, batch: dict) -> dict:
        """One update."""
        self._begin_step(f"a step of epoch {self.current_epoch}")
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            logits = self.network(batch["image"].to(self.device, non_blocking=True))
        targets = batch["target"].to(self.device, non_blocking=True)
        total, number = summed_loss(logits, targets, self.classes.kind)
        # Makes the mean over the processes the mean over everything that is known in the batch.
        loss = total / self.joint_batch.mean(number).clamp(min=1)
        if self.grad_scaler is None:
            loss.backward()
        else:
            self.grad_scaler.scale(loss).backward()
        norm = update(unwrapped(self.network), self.optimizer, self.grad_scaler, self.joint_batch)
        joint_loss = self.joint_batch.mean(loss.detach())
        return {"loss": float(joint_loss), "gradient_norm": float(norm)}

    def on_train_epoch_end(self, train_outputs: list[dict]):
        """Logs the means and the speed."""
        mean = means(train_outputs)
        images = len(train_outputs) * self.joint_batch.num_images
        self.logger.log("train_losses", mean["loss"], self.current_epoch)
        self.logger.log("train_gradient_norm", mean["gradient_norm"], self.current_epoch)
        seconds = max(time() - self._epoch_began, 1e-9)
        self.logger.log("images_per_second", images / seconds, self.current_epoch)

    def validation_step(self, batch) -> dict:
        """Logits of this process's share of the validation cases."""
        self._begin_step(f"the validation of epoch {self.current_epoch}")
        return case_logits(self.network, batch, self.device, self.autocast)

    def on_validation_epoch_end(self, val_outputs: list[dict]):
        """Logs the loss and how well the classes are told apart."""
        logits = self._joined(val_outputs, self._epoch_val)
        targets = torch.from_numpy(self._epoch_val.targets)
        total, number = summed_loss(torch.from_numpy(logits), targets, self.classes.kind)
        scores = quick_scores(self._epoch_val, logits)
        values = {
            "val_losses": float(total / number.clamp(min=1)),
            AUROC: mean_of_defined(scores["auroc"]),
            AVERAGE_PRECISION: mean_of_defined(scores["average_precision"]),
            AUROC_PER_CLASS: scores["auroc"].tolist(),
        }
        for name, value in values.items():
            self.logger.log(name, value, self.current_epoch)

    def _joined(self, outputs: list[dict], table: ClassTable) -> np.ndarray:
        """Logits of the cases of all processes, shape [N, K], in the order of the table."""
        pairs = self.joint_batch.collect([pair for output in outputs for pair in output.items()])
        by_case = dict(pairs)
        return np.stack([by_case[case] for case in table.identifiers])

    def on_epoch_end(self):
        """As nnU-Net, with the mean AUROC in the place of the pseudo Dice."""
        self.logger.log("epoch_end_timestamps", time(), self.current_epoch)
        logged = self.logger.local_logger.my_fantastic_logging
        self.print_to_log_file(epoch_text(logged, self.num_epochs))
        is_last = self.current_epoch == self.num_epochs - 1
        if (self.current_epoch + 1) % self.save_every == 0 and not is_last:
            self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_latest.pth"))
        auroc = logged[AUROC][-1]
        # Where the AUROC is not defined, the loss takes its place.
        score = auroc if math.isfinite(auroc) else -logged["val_losses"][-1]
        if self._best_ema is None or score > self._best_ema:
            self._best_ema = score
            self.print_to_log_file(f"Yayy! New best mean AUROC: {auroc:.4f}")
            self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_best.pth"))
        if self.local_rank == 0:
            self._progress.after_epoch()
        self.current_epoch += 1

    def on_train_end(self):
        """Ends the workers, then as nnU-Net."""
        self.dataloader_train = self.dataloader_val = None
        super().on_train_end()

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

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
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

    def perform_actual_validation(self, save_probabilities: bool = False):
        """Predicts all validation cases; predictions, scores and a report go into validation/."""
        self.network.eval()
        self.do_split()
        table = self.split.val
        batches = self._streams().all_inputs(table)
        outputs = [case_logits(self.network, batches, self.device, self.autocast)]
        logits = torch.from_numpy(self._joined(outputs, table))
        if self.local_rank == 0:
            predicted = probabilities(logits, self.classes.kind).numpy()
            write_validation(self, self.split, predicted, self._weights_name)
