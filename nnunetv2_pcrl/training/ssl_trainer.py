"""The base of self-supervised trainers: nnU-Net's hooks from the network to the last epoch.

A subclass says what its settings, network, views and loss are; epochs, checkpoints, logs, splits
and commands stay nnU-Net's.
"""

import math
import os
from pathlib import Path
from time import time

import torch
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from nnunetv2_pcrl.monitoring.progress_bar import EpochBar
from nnunetv2_pcrl.networks.compiled import compile_stages
from nnunetv2_pcrl.training.batch_memory import check_batch_fits, is_out_of_memory
from nnunetv2_pcrl.training.cases import check_split_is_possible
from nnunetv2_pcrl.training.results import how_to_fine_tune, keep_previous_results
from nnunetv2_pcrl.training.schedule import EpochSchedule
from nnunetv2_pcrl.training.stepped_run import SteppedRun
from nnunetv2_pcrl.training.streams import StreamSource
from nnunetv2_pcrl.training.update import means
from nnunetv2_pcrl.weights.atomic import remove_leftovers
from nnunetv2_pcrl.weights.file_names import WEIGHTS_FILE


class SSLTrainer(SteppedRun):
    """nnU-Net trainer without labels. "Best" is the lowest validation loss.

    Several processes (-num_gpus) share the comparison batch; the run is then the one of a single
    process with the same seed, but for rounding.
    """

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
        # nnU-Net compiles on a GPU unless told not to. A step here passes views of several sizes,
        # with and without gradient, which took minutes to compile: who asks for it gets it.
        switch = os.environ.get("nnUNet_compile", "")  # noqa: SIM112
        if switch.lower() in ("true", "1", "t") and super()._do_i_compile():
            self.print_to_log_file("Using torch.compile...")
            compile_stages(self.network)

    def _do_i_compile(self):
        """Not the network as a whole: a step calls its parts, which are compiled instead."""
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
        """The optimiser and its schedule per epoch, as the settings say."""
        optimizer, settings = self.make_optimizer(), self.settings
        return optimizer, EpochSchedule(
            optimizer,
            settings.initial_lr,
            settings.num_epochs,
            settings.schedule,
            settings.warmup_epochs,
        )

    def get_dataloaders(self):
        """Streams of views: training goes on where it stopped, validation is always the same."""
        train_cases, val_cases = self.do_split()
        num_workers = get_allowed_n_proc_DA()
        source = StreamSource(
            Path(self.preprocessed_dataset_folder),
            self.recipe(),
            self.settings,
            self.joint_batch.own,
            self.measured_channels(train_cases),
            self.device,
        )
        step = self.current_epoch * self.settings.num_iterations_per_epoch
        step += len(self._epoch_outputs)
        training, problems = source.training(train_cases, step, num_workers)
        validation, more_problems = source.validation(val_cases, num_workers)
        for identifier, reason in problems + more_problems:
            self._report_case(identifier, reason)
        return training, validation

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

    def on_epoch_end(self):
        """As nnU-Net, with the validation loss in the place of the pseudo Dice.

        The epoch is on disk before anything is drawn. What is best is decided before that: a
        checkpoint that did not know it would let a later epoch replace the best one after a kill.
        """
        self.logger.log("epoch_end_timestamps", time(), self.current_epoch)
        self._fill_log(self.current_epoch + 1)
        val_loss = self.logger.get_value("val_losses", step=-1)
        # nnU-Net stores the best value under this name in its checkpoints.
        best = self._best_ema
        is_best = math.isfinite(val_loss) and (best is None or val_loss < best)
        if is_best:
            self._best_ema = val_loss
            file = os.path.join(self.output_folder, "checkpoint_best.pth")
            if not self._save(file, is_epoch_finished=True):
                # Another epoch may still be better than the one that is on the disk.
                self._best_ema, is_best = best, False
        self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_latest.pth"))
        self.print_epoch()
        if is_best:
            self.print_to_log_file(f"Yayy! New best validation loss: {val_loss:.4f}")
        if self.local_rank == 0:
            self.plot_progress()
        self._begin_epoch_with([])
        self.current_epoch += 1

    def on_train_end(self):
        """Ends the workers, then as nnU-Net."""
        self._close_streams()
        super().on_train_end()

    def perform_actual_validation(self, save_probabilities: bool = False):
        """Nothing is segmented: says where the weights are and what to do with them."""
        weights = Path(self.output_folder) / WEIGHTS_FILE
        if not weights.is_file():
            self.print_to_log_file(
                f"No {WEIGHTS_FILE} was written, because checkpointing was disabled."
            )
            return
        self.print_to_log_file(
            f"Pretraining complete. Weights: {weights}\n"
            + how_to_fine_tune(
                weights, type(self).__name__, self.plans_manager.plans, self.configuration_name
            )
        )
