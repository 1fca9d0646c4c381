"""How the encoder learns: nnU-Net's folders, logs and commands around another network."""

import math
import os
from abc import abstractmethod
from collections.abc import Sequence
from itertools import repeat
from time import time
from typing import cast

import numpy as np
import torch
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.encoder.augmentation import augmentation_of
from nnunetv2_pcrl.tasks.encoder.encoder_run import EncoderRun
from nnunetv2_pcrl.tasks.encoder.loss import probabilities, summed_loss
from nnunetv2_pcrl.tasks.encoder.network import Classifier, prior_logits
from nnunetv2_pcrl.tasks.encoder.predicting import case_logits
from nnunetv2_pcrl.tasks.encoder.progress import (
    AUROC,
    AUROC_PER_CLASS,
    AVERAGE_PRECISION,
    Described,
    EncoderProgress,
    epoch_text,
)
from nnunetv2_pcrl.tasks.encoder.samples import Order, Reader, ShuffledOrder
from nnunetv2_pcrl.tasks.encoder.scores import mean_of_defined, quick_scores
from nnunetv2_pcrl.tasks.encoder.split import ClassSplit
from nnunetv2_pcrl.tasks.encoder.streams import InputStreams
from nnunetv2_pcrl.tasks.start import Start, forget_report, start_from_weights, unwrapped
from nnunetv2_pcrl.training.update import means, update
from nnunetv2_pcrl.views.seeding import seeded_generator

# Enough for the mean and spread of a feature.
NUM_MEASURED_IMAGES = 256
# Tells the draws of dropout apart from others of the same seed.
DROPOUT_STREAM = 23


class EncoderTrainer(EncoderRun):
    """Learns classes. "Best" is the highest mean AUROC.

    A task says what is told apart (`read_classes`, `split_of`), what the network sees of it
    (`reader`, `input_size`), and what becomes of the predictions (`write_validation`).

    Weights are loaded at the start of a fresh training only; resuming, validation and prediction
    need no weights file. Several processes (-num_gpus) share the batch; the run is then the one of
    a single process with the same seed, but for rounding.
    """

    # What a task says

    @abstractmethod
    def split_of(self, there: Sequence[str]) -> ClassSplit:
        """The cases of the fold.

        Args:
            there: preprocessed cases.
        """

    @abstractmethod
    def reader(self) -> Reader:
        """Reads what the network sees of a case."""

    @abstractmethod
    def write_validation(self, predicted: np.ndarray, checkpoint: str) -> None:
        """Leaves predictions, scores and a report of the validation cases in validation/.

        Args:
            predicted: probabilities, shape [N, K].
            checkpoint: name of the one that predicted.
        """

    @abstractmethod
    def described(self) -> Described:
        """What a training is, for its record."""

    def input_size(self) -> tuple[int, ...]:
        """Voxels per axis of what the network sees."""
        return tuple(self.configuration_manager.patch_size)

    def training_reader(self) -> Reader:
        """Reads what is augmented, which may be larger than what the network sees."""
        return self.reader()

    def order_of(self, table: ClassTable) -> Order:
        """The order in which training cases come."""
        return ShuffledOrder(len(table), self.settings.seed)

    def first_logits(self, table: ClassTable) -> np.ndarray:
        """Logits that say how frequent the classes are in a batch, shape [K]."""
        return prior_logits(table.targets, table.kind)

    @abstractmethod
    def cases_of_epoch(self, streams: InputStreams) -> ClassTable:
        """Validation cases that are predicted after every epoch, always the same ones."""

    def do_split(self):
        """The cases of the fold of which a class is known; folds that are made keep patients."""
        if self.dataset_class is None:
            self.initialize()
        there = self.dataset_class.get_identifiers(self.preprocessed_dataset_folder)
        self.split = self.split_of(there)
        for remark in self.split.remarks:
            self.print_to_log_file(remark)
        return list(self.split.train.identifiers), list(self.split.val.identifiers)

    def get_dataloaders(self):
        """Training samples that go on where they stopped, and the validation cases, repeated.

        Of many validation cases the same ones are predicted in every epoch.
        """
        self.do_split()
        table, streams = self.split.train, self._streams(self.reader())
        self._epoch_val = self.cases_of_epoch(streams)
        augment = augmentation_of(self, self.settings, self.input_size(), self.task.section)
        first_step = self.current_epoch * self.num_iterations_per_epoch
        training = self._streams(self.training_reader()).training(
            table, self.order_of(table), augment, first_step
        )
        return training, repeat(streams.all_inputs(self._epoch_val))

    def _streams(self, reader: Reader) -> InputStreams:
        return InputStreams(
            reader,
            self.joint_batch,
            self.settings.seed,
            get_allowed_n_proc_DA(),
            self.device.type == "cuda",
        )

    # Training

    def on_train_start(self):
        """As the base; lets the linear layer begin with the prevalences."""
        super().on_train_start()
        if not self._resumed:
            self._prepare_linear_layer()
        self.print_to_log_file(f"Settings: {self.settings.as_plain()}")
        if self.local_rank == 0:
            self._progress = EncoderProgress(self, self.described())

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
        network = cast(Classifier, unwrapped(self.network).eval())
        table = self.split.train
        images = self._streams(self.reader()).some_images(
            table, self.order_of(table), NUM_MEASURED_IMAGES
        )
        with torch.no_grad(), self.autocast():
            network.standardise.measure(
                network.pooled(batch["image"].to(self.device)) for batch in images
            )
        logits = self.first_logits(table)
        with torch.no_grad():
            network.linear.bias.copy_(torch.from_numpy(logits))
        self.joint_batch.broadcast(network)

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
        if math.isfinite(norm):
            self._broken_steps.end_row()
        else:
            self._broken_steps.count("gradient", self.grad_scaler is not None)
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
        return case_logits(self.network, self._marked(batch), self.device, self.autocast)

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
        """As nnU-Net, with the mean AUROC in the place of the pseudo Dice.

        What is best is decided before a checkpoint is written: one that did not know it would let a
        later epoch replace the best one after a kill.
        """
        self.logger.log("epoch_end_timestamps", time(), self.current_epoch)
        logged = self.logger.local_logger.my_fantastic_logging
        self.print_to_log_file(epoch_text(logged, self.num_epochs))
        auroc = logged[AUROC][-1]
        # Where the AUROC is not defined, the loss takes its place.
        score = auroc if math.isfinite(auroc) else -logged["val_losses"][-1]
        if math.isfinite(score) and (self._best_ema is None or score > self._best_ema):
            self._best_ema = score
            self.print_to_log_file(f"Yayy! New best mean AUROC: {auroc:.4f}")
            self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_best.pth"))
        is_last = self.current_epoch == self.num_epochs - 1
        if (self.current_epoch + 1) % self.save_every == 0 and not is_last:
            self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_latest.pth"))
        if self.local_rank == 0:
            self._progress.after_epoch()
        self.current_epoch += 1

    def on_train_end(self):
        """Ends the workers, then as nnU-Net."""
        self.dataloader_train = self.dataloader_val = None
        super().on_train_end()

    def perform_actual_validation(self, save_probabilities: bool = False):
        """Predicts all validation cases; predictions, scores and a report go into validation/."""
        self.network.eval()
        self.do_split()
        table = self.split.val
        batches = self._marked(self._streams(self.reader()).all_inputs(table))
        outputs = [case_logits(self.network, batches, self.device, self.autocast)]
        logits = torch.from_numpy(self._joined(outputs, table))
        if self.local_rank == 0:
            predicted = probabilities(logits, self.classes.kind).numpy()
            self.write_validation(predicted, self._weights_name)
