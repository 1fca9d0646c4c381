"""What a person sees of a fine-tuning: progress.png with gradient norm and throughput.

Only reads: nnU-Net's training goes on as it would without.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

from nnunetv2_pcrl.monitoring.charts import plots
from nnunetv2_pcrl.monitoring.checks import of_every_training
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.pace import Pace
from nnunetv2_pcrl.monitoring.pretraining_monitor import EXPECTED_PROGRESS_S, SHARE_OF_PICTURES
from nnunetv2_pcrl.monitoring.progress_figure import draw_progress
from nnunetv2_pcrl.monitoring.record import write_record
from nnunetv2_pcrl.monitoring.vocabulary import Card, Chart, Line, Shown
from nnunetv2_pcrl.tasks.segmentation.label_names import label_names
from nnunetv2_pcrl.tasks.segmentation.validation_pictures import PICTURE_NAME
from nnunetv2_pcrl.tasks.start import citations_of
from nnunetv2_pcrl.training.monitored_run import (
    command_of,
    data_of,
    run_of,
)

OWN_NAMES = ("train_gradient_norm", "images_per_second")


def finetuning_shown(classes: Sequence[str]) -> Shown:
    """What a fine-tuning shows: loss and pseudo Dice, of every class or region by its name."""
    about = "Overlap on patches of the validation cases: 1 is perfect. No Dice of whole cases."
    return Shown(
        charts=(
            Chart(
                "pseudo Dice",
                (
                    Line("mean_fg_dice", "mean", 2, "dotted"),
                    Line("ema_fg_dice", "moving average", 2),
                ),
                from_zero=True,
                text=about,
                axis="Dice",
            ),
            Chart(
                "pseudo Dice of each class or region",
                tuple(
                    Line("dice_per_class_or_region", name, number, part=number)
                    for number, name in enumerate(classes)
                ),
                from_zero=True,
                text=about,
                axis="Dice",
            ),
        ),
        cards=(Card("pseudo Dice, moving average", ("ema_fg_dice",), form=".3f", text=about),),
        schedules=(Line("lrs", "learning rate", 0),),
        loss="Dice and cross-entropy; the Dice part is negative where the overlap is good.",
    )


class FinetuneProgress:
    """Takes the place of nnU-Net's own drawing, which its logger does after every epoch."""

    def __init__(self, trainer: nnUNetTrainer):
        """Watches a trainer that is about to train."""
        manager = trainer.label_manager
        keys = manager.foreground_regions if manager.has_regions else manager.foreground_labels
        names = label_names(keys, trainer.dataset_json["labels"])
        self._shown = finetuning_shown(list(names.values()))
        self._trainer = trainer
        self._guard = Guard(trainer.print_to_log_file)
        self._pace = Pace(SHARE_OF_PICTURES, EXPECTED_PROGRESS_S)
        self._squares: list[Tensor] = []
        if trainer.local_rank == 0:
            training, validation = trainer.do_split()
            self._cases = {"training": list(training), "validation": list(validation)}
            trainer.optimizer.register_step_pre_hook(self._note_gradient)
            trainer.logger.plot_progress_png = self.after_epoch

    @torch.no_grad()
    def _note_gradient(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Keeps the squared norm of a step's gradient, clipped as nnU-Net does, on its device."""
        with self._guard("the gradient norm"):
            gradients = [
                parameter.grad
                for group in optimizer.param_groups
                for parameter in group["params"]
                if parameter.grad is not None
            ]
            self._squares.append(torch.stack([g.norm() for g in gradients]).square().sum())

    def after_epoch(self, output_folder: str) -> None:
        """Logs, draws if it is due, and writes the record; called before the epoch is counted."""
        trainer = self._trainer
        with self._guard("progress.png"):
            self._log()
            logged = trainer.logger.local_logger.my_fantastic_logging
            done = trainer.current_epoch + 1
            run = run_of(trainer)
            if done == trainer.num_epochs or self._pace.is_due():
                with self._pace.measured():
                    title = f"{run['trainer']} on {run['data set']}"
                    draw_progress(
                        plots(logged, self._shown),
                        Path(output_folder) / "progress.png",
                        f"{title}: {done} of {trainer.num_epochs} epochs",
                    )
            write_record(output_folder, self._record(run, logged))

    def _record(self, run: dict[str, Any], logged: dict[str, list]) -> dict[str, Any]:
        trainer = self._trainer
        return {
            "method": "nnU-Net's training for segmentation",
            "run": run,
            "command": command_of(trainer),
            "cases": self._cases,
            "data": data_of(trainer),
            "settings": {
                "batch_size": trainer.batch_size,
                "num_iterations_per_epoch": trainer.num_iterations_per_epoch,
                "initial_lr": trainer.initial_lr,
                "weight_decay": trainer.weight_decay,
            },
            "num_epochs": trainer.num_epochs,
            "pictures": {PICTURE_NAME: "Best, median and worst validation case"},
            "shown": self._shown.as_plain(),
            "warnings": of_every_training(logged),
            "citations": citations_of(trainer.output_folder),
            "logged": logged,
        }

    def _log(self) -> None:
        """This epoch's gradient norm and throughput, through nnU-Net's logger."""
        trainer, epoch = self._trainer, self._trainer.current_epoch
        norms = torch.stack(self._squares).sqrt().tolist() if self._squares else []
        self._squares.clear()
        finite = [norm for norm in norms if math.isfinite(norm)]
        start, end = (
            trainer.logger.get_value(f"epoch_{name}_timestamps", step=epoch)
            for name in ("start", "end")
        )
        steps = trainer.num_iterations_per_epoch
        world = torch.distributed.get_world_size() if trainer.is_ddp else 1
        values = (
            sum(finite) / len(finite) if finite else math.nan,
            steps * trainer.batch_size * world / max(end - start, 1e-9),
        )
        for name, value in zip(OWN_NAMES, values, strict=True):
            series = trainer.logger.local_logger.my_fantastic_logging.setdefault(name, [])
            # Checkpoints are written before this, so a resumed training lacks its last epoch.
            series.extend([math.nan] * (epoch - len(series)))
            trainer.logger.log(name, value, epoch)
