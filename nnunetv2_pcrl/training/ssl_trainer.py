"""The base of self-supervised trainers, and the only code that knows nnU-Net's hooks.

A subclass says what its settings, network, views and loss are; epochs, checkpoints, logs, splits
and commands stay nnU-Net's.
"""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

import torch
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import Tensor, autocast

from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.progress_bar import EpochBar
from nnunetv2_pcrl.monitoring.vocabulary import Series
from nnunetv2_pcrl.training.batch_memory import check_batch_fits, is_out_of_memory
from nnunetv2_pcrl.training.cases import check_split_is_possible
from nnunetv2_pcrl.training.checkpoints import (
    changes_of,
    check_can_go_on,
    checkpoint_of,
    read_checkpoint,
)
from nnunetv2_pcrl.training.cosine import CosineLRScheduler
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.long_run import GO_ON, LongRun
from nnunetv2_pcrl.training.results import how_to_fine_tune, keep_previous_results
from nnunetv2_pcrl.training.streams import StreamSource
from nnunetv2_pcrl.training.termination import TerminationNotice
from nnunetv2_pcrl.training.update import means, update
from nnunetv2_pcrl.views.drawn import Recipe
from nnunetv2_pcrl.views.seeding import seeded_generator
from nnunetv2_pcrl.weights.atomic import remove_leftovers, replaced_atomically
from nnunetv2_pcrl.weights.portable import FILE_NAME, write_weights

MAX_CONSECUTIVE_SKIPPED_STEPS = 10


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


class SSLTrainer(LongRun, ABC):
    """nnU-Net trainer without labels. "Best" is the lowest validation loss.

    Several processes (-num_gpus) share the comparison batch; the run is then the one of a single
    process with the same seed, but for rounding.
    """

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
        self._resumed = False
        self._step = 0
        self._epoch_outputs: list[dict[str, float]] = []
        self._termination = TerminationNotice()
        self._train_epoch_began = 0.0
        self._consecutive_skipped_steps = 0
        self._reported_cases: dict[str, str] = {}
        self.guard = Guard(self.print_to_log_file)
        self._bar = EpochBar("", 0, 0, is_wanted=False)
        self._fill_log(0)

    # What a subclass defines

    @abstractmethod
    def derive_settings(self) -> PretrainingSettings:
        """The settings, from the plans and the trainer's name."""

    @abstractmethod
    def recipe(self) -> Recipe:
        """How views are drawn."""

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

    # Building: network, optimiser, data

    def initialize(self):
        """Checks the data, seeds the network's initialisation and lets nnU-Net build it."""
        check_split_is_possible(
            Path(self.preprocessed_dataset_folder),
            Path(self.preprocessed_dataset_folder_base) / "splits_final.json",
            self.fold,
        )
        check_batch_fits(
            len(self.joint_batch.own),
            self.settings.batch_size,
            self.values_per_image(),
            self.device,
        )
        torch.manual_seed(self.settings.seed)
        with self._without_reducer():
            super().initialize()
        self.joint_batch.broadcast(self.network)

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

    def _do_i_compile(self):
        """No: a step calls the parts of the network, which compiling the whole does not reach."""
        return False

    def _set_batch_size_and_oversample(self):
        self.batch_size = len(self.joint_batch.own)

    def _build_loss(self):
        """None: the method's step computes the loss."""

    def plot_network_architecture(self):
        """Nothing: nnU-Net's drawing needs a network with one forward pass."""

    def set_deep_supervision_enabled(self, enabled: bool):
        """Nothing: there are no segmentation outputs."""

    def configure_optimizers(self):
        """The optimiser, and a cosine schedule per epoch to zero."""
        optimizer = self.make_optimizer()
        return optimizer, CosineLRScheduler(optimizer, self.initial_lr, self.num_epochs)

    def get_dataloaders(self):
        """Streams of views: training goes on where it stopped, validation is always the same."""
        train_cases, val_cases = self.do_split()
        num_workers = get_allowed_n_proc_DA()
        source = StreamSource(
            Path(self.preprocessed_dataset_folder),
            self.recipe(),
            self.settings,
            self.joint_batch.own,
            self.num_input_channels,
            self.device,
        )
        step = self.current_epoch * self.settings.num_iterations_per_epoch
        step += len(self._epoch_outputs)
        training, problems = source.training(train_cases, step, num_workers)
        validation, more_problems = source.validation(val_cases, num_workers)
        for identifier, reason in problems + more_problems:
            self._report_case(identifier, reason)
        return training, validation

    def _report_case(self, identifier: str, reason: str) -> None:
        """Names an unusable case in the log, once."""
        if identifier not in self._reported_cases:
            self._reported_cases[identifier] = reason
            self.print_to_log_file(f"WARNING: case {identifier} is left out: {reason}")

    # Training

    def run_training(self):
        """As the base; signals do again what they did before, however it ends.

        Raises:
            RuntimeError: if the memory does not suffice, with the remedy.
        """
        try:
            super().run_training()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).split("\n")[0] or type(error).__name__
            raise RuntimeError(
                f"There is not enough memory for a step ({reason}). Lower "
                f'"views_at_a_time" or "batch_size" in the plans, end other programs, or use '
                f"fewer workers (environment variable nnUNet_n_proc_DA); then go on with --c."
            ) from error
        finally:
            self._termination.switch_off()

    def on_train_start(self):
        """Moves an earlier result of this folder aside, then starts as nnU-Net does."""
        if self.local_rank == 0:
            remove_leftovers(self.output_folder)
        if self.local_rank == 0 and not self._resumed:
            kept = keep_previous_results(Path(self.output_folder))
            if kept is not None:
                self.print_to_log_file(f"The earlier result of this folder was moved to {kept}")
        super().on_train_start()
        self.print_to_log_file(f"Settings: {self.settings.as_plain()}")
        if self.joint_batch.num_ranks > 1:
            self.print_to_log_file(
                f"{self.joint_batch.num_ranks} processes share the comparison batch: "
                f"{self.joint_batch.counts} images"
            )
        self._termination.switch_on()

    def on_train_epoch_start(self):
        """As nnU-Net; starts to count steps and seconds."""
        super().on_train_epoch_start()
        self._step = len(self._epoch_outputs)
        self.dataloader_train.seconds_waited = 0.0
        self._train_epoch_began = time()
        with self.guard("the progress bar"):
            title = f"Epoch {self.current_epoch + 1}/{self.num_epochs}"
            steps, images = self.num_iterations_per_epoch, self.settings.batch_size
            self._bar = EpochBar(title, steps, images, self.local_rank == 0, self.series())

    def on_validation_epoch_start(self):
        """As nnU-Net; starts to count steps, whose numbers decide the drawn levels."""
        super().on_validation_epoch_start()
        self._step = 0

    def autocast(self) -> AbstractContextManager:
        """Mixed precision on CUDA and nowhere else, as in nnU-Net."""
        return autocast("cuda", enabled=True) if self.device.type == "cuda" else nullcontext()

    def _next_step(self, batch: dict, *stream: int) -> torch.Generator:
        """Draws for the next step: a function of seed, stream and step, and of nothing else."""
        for identifier, reason in batch["rejected"]:
            self._report_case(identifier, reason)
        phase = "" if self.network.training else "the validation of "
        self._begin_step(f"step {self._step} of {phase}epoch {self.current_epoch}")
        generator = seeded_generator(self.settings.seed, *stream, self._step)
        self._step += 1
        return generator

    def train_step(self, batch: dict) -> dict:
        """One update; a loss that is not finite is skipped, and said so."""
        self.optimizer.zero_grad(set_to_none=True)
        # 2 and 3: the streams of level draws, beside the loader's streams of views.
        generator = self._next_step(batch, 2, self.current_epoch)
        scaler = self.grad_scaler
        scale = 1.0 if scaler is None else scaler.scale(torch.ones((), device=self.device))
        numbers = self._joint_numbers(self.accumulate_gradients(batch, generator, scale))
        if math.isfinite(numbers["loss"]):
            self._consecutive_skipped_steps = 0
            norm = update(self.network, self.optimizer, self.grad_scaler, self.joint_batch)
            numbers["gradient_norm"] = float(norm)
            self.after_update()
        else:
            numbers = {}
            self._skip_step(batch)
        self._epoch_outputs.append(numbers)
        with self.guard("the progress bar"):
            self._bar.step(numbers, self.dataloader_train.seconds_waited)
        self._stop_if_asked_to()
        return numbers

    def _joint_numbers(self, step: StepLoss) -> dict[str, float]:
        """The step's numbers for the whole batch, in one transfer from the device."""
        numbers = {"loss": step.loss, **step.numbers}
        values = torch.stack([torch.as_tensor(v, device=self.device) for v in numbers.values()])
        return dict(zip(numbers, self.joint_batch.mean(values).tolist(), strict=True))

    def _skip_step(self, batch: dict) -> None:
        self._consecutive_skipped_steps += 1
        cases = self.joint_batch.collect(batch["cases"])
        self.print_to_log_file(
            f"WARNING: the loss is not finite, step {self._step - 1} of this epoch is skipped "
            f"({self._consecutive_skipped_steps} in a row). Cases: {', '.join(cases)}"
        )
        if self._consecutive_skipped_steps >= MAX_CONSECUTIVE_SKIPPED_STEPS:
            raise RuntimeError(
                f"{MAX_CONSECUTIVE_SKIPPED_STEPS} steps in a row had a loss that is not finite. "
                f'Lower "initial_lr" in the plans, or go back to the last checkpoint with --c.'
            )

    def _stop_if_asked_to(self) -> None:
        """After a signal to any of the processes: saves what is done of the epoch, and ends."""
        received = self._termination.received
        if not self.joint_batch.any(received is not None, self.device):
            return
        file = os.path.join(self.output_folder, "checkpoint_latest.pth")
        self._save(file, is_epoch_finished=False)
        self.print_to_log_file(
            f"{received.name if received else 'SIGTERM'}: stopped after step "
            f"{len(self._epoch_outputs)} of {self.settings.num_iterations_per_epoch} of epoch "
            f"{self.current_epoch}. Go on with --c."
        )
        self._close_streams()
        raise SystemExit(self._termination.exit_status)

    def validation_step(self, batch: dict) -> dict:
        """The loss on fixed views and levels."""
        generator = self._next_step(batch, 3)
        step = self.evaluate(batch, generator)
        self._stop_if_asked_to()
        return self._joint_numbers(step)

    def on_train_epoch_end(self, train_outputs: list[dict]):
        """Logs the means, and which share of the time the steps waited for views.

        `train_outputs` lacks the steps that came before a termination within this epoch.
        """
        for identifier, reason in self.joint_batch.collect([*self._reported_cases.items()]):
            self._report_case(identifier, reason)
        with self.guard("the progress bar"):
            self._bar.close()
        self._log_means("train", means(self._epoch_outputs))
        seconds = max(time() - self._train_epoch_began, 1e-9)
        share = min(1.0, self.dataloader_train.seconds_waited / seconds)
        self.logger.log("data_wait_share", share, self.current_epoch)
        images = len(train_outputs) * self.settings.batch_size
        self.logger.log("images_per_second", images / seconds, self.current_epoch)

    def on_validation_epoch_end(self, val_outputs: list[dict]):
        """Logs the means."""
        self._log_means("val", means(val_outputs))

    def _log_means(self, phase: str, numbers: Mapping[str, float]) -> None:
        """Logs the numbers of an epoch; NaN for a loss that no step has."""
        for name, mean in ({"loss": math.nan} | dict(numbers)).items():
            key = f"{phase}_losses" if name == "loss" else f"{phase}_{name}"
            self.logger.log(key, mean, self.current_epoch)

    def on_epoch_end(self):
        """As nnU-Net, with the validation loss in the place of the pseudo Dice.

        The epoch is on disk before anything is drawn. What is best is decided before that: a
        checkpoint that did not know it would let a later epoch replace the best one after a kill.
        """
        self.logger.log("epoch_end_timestamps", time(), self.current_epoch)
        self._fill_log(self.current_epoch + 1)
        val_loss = self.logger.get_value("val_losses", step=-1)
        # nnU-Net stores the best value under this name in its checkpoints.
        is_best = math.isfinite(val_loss) and (self._best_ema is None or val_loss < self._best_ema)
        if is_best:
            self._best_ema = val_loss
            self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_best.pth"))
        self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_latest.pth"))
        self.print_epoch()
        if is_best:
            self.print_to_log_file(f"Yayy! New best validation loss: {val_loss:.4f}")
        if self.local_rank == 0:
            self.plot_progress()
        self._begin_epoch_with([])
        self.current_epoch += 1

    def _begin_epoch_with(self, outputs: list[dict[str, float]]) -> None:
        """The next epoch has these steps behind it already."""
        self._epoch_outputs = outputs
        left = self.settings.num_iterations_per_epoch - len(outputs)
        self.num_iterations_per_epoch = max(0, left)

    def on_train_end(self):
        """Ends the workers, then as nnU-Net."""
        self._close_streams()
        super().on_train_end()

    def _close_streams(self) -> None:
        self.dataloader_train.close()
        self.dataloader_val.close()

    def perform_actual_validation(self, save_probabilities: bool = False):
        """Nothing is segmented: says where the weights are and what to do with them."""
        weights = Path(self.output_folder) / FILE_NAME
        if not weights.is_file():
            self.print_to_log_file(
                f"No {FILE_NAME} was written, because checkpointing was disabled."
            )
            return
        self.print_to_log_file(
            f"Pretraining complete. Weights: {weights}\n"
            + how_to_fine_tune(
                weights, type(self).__name__, self.plans_manager.plans, self.configuration_name
            )
        )

    # Logs and checkpoints

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

    def save_checkpoint(self, filename: str) -> None:
        """The portable file; then nnU-Net's checkpoint plus our settings. Neither is half-written.

        If it cannot be written (a full disk), the training goes on; only the last one must be.
        Other errors come from elsewhere, as that of a worker that died meanwhile: it is written
        all the same, and then they end the training.

        Raises:
            OSError: if the last one cannot be written, with the reason and the remedy.
        """
        self._save(filename, is_epoch_finished=True)

    def _save(self, filename: str, is_epoch_finished: bool) -> None:
        is_last = Path(filename).name == "checkpoint_final.pth"
        try:
            with self._explained_writing(filename, GO_ON if is_last else ""):
                self._write_checkpoint(filename, is_epoch_finished)
        except OSError as error:
            if is_last:
                raise
            self.print_to_log_file(f"WARNING: {error}")
        except RuntimeError:
            self._write_checkpoint(filename, is_epoch_finished)
            raise

    def _write_checkpoint(self, filename: str, is_epoch_finished: bool) -> None:
        if self.local_rank != 0:
            return
        if self.disable_checkpointing:
            self.print_to_log_file("No checkpoint written, checkpointing is disabled")
            return
        epochs_done = self.current_epoch + is_epoch_finished
        outputs = [] if is_epoch_finished else self._epoch_outputs
        # First the weights: where the last checkpoint is, they are the last ones too.
        if Path(filename).name != "checkpoint_best.pth":
            weights, about = self.portable_weights()
            about = {**about, "epochs_done": epochs_done}
            write_weights(Path(self.output_folder) / FILE_NAME, weights, about)
        with replaced_atomically(filename) as temporary:
            torch.save(checkpoint_of(self, epochs_done, outputs, self.described()), temporary)

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Resumes, and says which settings were changed since the checkpoint.

        Raises:
            ValueError: if the training cannot go on from the file, with the reason and the remedy.
        """
        stored = read_checkpoint(filename_or_checkpoint)
        if not self.was_initialized:
            self.initialize()
        check_can_go_on(
            filename_or_checkpoint,
            stored,
            type(self).__name__,
            self.network.state_dict(),
            self.optimizer.state_dict(),
        )
        with self._without_reducer():
            # It has been read without running anything; nnU-Net takes no content, but the file.
            super().load_checkpoint(filename_or_checkpoint)
        self._resumed = True
        self._fill_log(self.current_epoch)
        # The optimiser's state brings its own numbers; changed settings shall count.
        as_set = self.make_optimizer().param_groups
        for group, wanted in zip(self.optimizer.param_groups, as_set, strict=True):
            group.update({k: v for k, v in wanted.items() if k not in ("params", "lr")})
        self._begin_epoch_with(stored["epoch_outputs"])
        for change in changes_of(stored["settings"], self.settings.as_plain()):
            self.print_to_log_file(f"WARNING: {change}; going on with it")
