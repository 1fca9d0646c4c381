"""The steps of a self-supervised training: what is drawn, skipped and stopped in them."""

import math
import os
from contextlib import AbstractContextManager, nullcontext
from time import time

import torch
from torch import autocast

from nnunetv2_pcrl.monitoring.epoch_line import hours_and_minutes
from nnunetv2_pcrl.training.learner import StepLoss
from nnunetv2_pcrl.training.saved_run import SavedRun
from nnunetv2_pcrl.training.update import update
from nnunetv2_pcrl.views.seeding import seeded_generator


class SteppedRun(SavedRun):
    """One step after the other: it can be skipped, and the training can end after it."""

    def _report_case(self, identifier: str, reason: str) -> None:
        """Names an unusable case in the log, once."""
        if identifier not in self._reported_cases:
            self._reported_cases[identifier] = reason
            self.print_to_log_file(f"WARNING: case {identifier} is left out: {reason}")

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
        # Dropout of a plan draws globally.
        numbers = (self.settings.seed, *stream, self._step, self.joint_batch.rank)
        torch.manual_seed(seeded_generator(*numbers).initial_seed())
        self._step += 1
        return generator

    def train_step(self, batch: dict) -> dict:
        """One update; a loss or gradient that is not finite is skipped, and said so."""
        self.optimizer.zero_grad(set_to_none=True)
        # 2 and 3: the streams of level draws, beside the loader's streams of views.
        generator = self._next_step(batch, 2, self.current_epoch)
        scaler = self.grad_scaler
        scale = 1.0 if scaler is None else scaler.scale(torch.ones((), device=self.device))
        numbers = self._joint_numbers(self.accumulate_gradients(batch, generator, scale))
        broken = "" if math.isfinite(numbers["loss"]) else "loss"
        if not broken:
            norm = update(self.network, self.optimizer, self.grad_scaler, self.joint_batch)
            if math.isfinite(norm):
                numbers["gradient_norm"] = float(norm)
            else:
                broken = "gradient"
        if not broken:
            self._broken_steps.end_row()
            self.after_update()
        else:
            # A scaler looks after gradients itself, by scaling the next ones less.
            is_scaled = broken == "gradient" and scaler is not None
            if not is_scaled:
                numbers = {}
                self._say_skipped(batch, broken)
            self._broken_steps.count(broken, is_scaled)
        self._epoch_outputs.append(numbers)
        self._say_length()
        with self.guard("the progress bar"):
            self._bar.step(numbers, self.dataloader_train.seconds_waited)
        self._stop_if_asked_to()
        return numbers

    def _say_length(self) -> None:
        """After the first steps of this start: how long all of them will take here."""
        if self._forecast is None or (seconds := self._forecast.after_step(time())) is None:
            return
        left = self.settings.num_epochs - self.current_epoch
        steps = left * self.settings.num_iterations_per_epoch - len(self._epoch_outputs)
        self.print_to_log_file(
            f"A step takes about {seconds:.3g} s here: the {steps:,} steps to come will take about "
            f"{hours_and_minutes(seconds * steps)}, validation and pictures not counted"
        )
        self._forecast = None

    def _joint_numbers(self, step: StepLoss) -> dict[str, float]:
        """The step's numbers for the whole batch, in one transfer from the device."""
        # In one order on all processes: a share that fits into one pass gives its terms in another
        # order than a larger one does.
        numbers = dict(sorted({"loss": step.loss, **step.numbers}.items()))
        values = torch.stack([torch.as_tensor(v, device=self.device) for v in numbers.values()])
        return dict(zip(numbers, self.joint_batch.mean(values).tolist(), strict=True))

    def _say_skipped(self, batch: dict, broken: str) -> None:
        cases = self.joint_batch.collect(batch["cases"])
        self.print_to_log_file(
            f"WARNING: the {broken} is not finite, step {self._step - 1} of this epoch is skipped "
            f"({self._broken_steps.number + 1} in a row). Cases: {', '.join(cases)}"
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

    def _close_streams(self) -> None:
        self.dataloader_train.close()
        self.dataloader_val.close()
