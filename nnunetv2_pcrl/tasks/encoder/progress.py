"""What a person sees of such a training: progress.png, its record, the log's line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_pcrl.monitoring.charts import epoch_seconds, plots
from nnunetv2_pcrl.monitoring.checks import of_every_training
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.pace import Pace
from nnunetv2_pcrl.monitoring.pretraining_monitor import EXPECTED_PROGRESS_S, SHARE_OF_PICTURES
from nnunetv2_pcrl.monitoring.progress_figure import draw_progress
from nnunetv2_pcrl.monitoring.record import write_record
from nnunetv2_pcrl.monitoring.vocabulary import Card, Chart, Line, Shown
from nnunetv2_pcrl.tasks.start import citations_of
from nnunetv2_pcrl.training.monitored_run import command_of, data_of, run_of

# In the log, once per epoch.
AUROC, AVERAGE_PRECISION = "val_auroc", "val_average_precision"
AUROC_PER_CLASS = "val_auroc_per_class"
OWN_NAMES = (
    AUROC,
    AVERAGE_PRECISION,
    AUROC_PER_CLASS,
    "train_gradient_norm",
    "images_per_second",
)
# More curves than this in one chart cannot be told apart.
MOST_CLASSES = 8


@dataclass(frozen=True)
class Described:
    """What a training is, for its record.

    Attributes:
        method: in words.
        classes: names of what is told apart.
        training, validation: cases.
        data: further facts by name.
    """

    method: str
    classes: tuple[str, ...]
    training: Sequence[str]
    validation: Sequence[str]
    data: Mapping[str, Any]


def classes_shown(names: tuple[str, ...]) -> Shown:
    """What is shown: loss, and how well each class is told from the others.

    Args:
        names: of the classes.
    """
    about = "Chance that a case of the class scores higher than one without it; 0.5 for guessing."
    chance = Line("", "chance", -1, "dotted", constant=0.5)
    classes = tuple(
        Line(AUROC_PER_CLASS, name, number, part=number)
        for number, name in enumerate(names[:MOST_CLASSES])
    )
    return Shown(
        charts=(
            Chart(
                "AUROC, mean of the classes",
                (Line(AUROC, "validation", 2), chance),
                text=about,
                axis="AUROC",
            ),
            Chart("AUROC of each class", (*classes, chance), text=about, axis="AUROC"),
            Chart(
                "average precision, mean of the classes",
                (Line(AVERAGE_PRECISION, "validation", 2),),
                from_zero=True,
                text="Mean precision over the recall; the share of positive cases for guessing.",
                axis="average precision",
            ),
        ),
        cards=(Card("mean AUROC", (AUROC,), form=".3f", text=about),),
        schedules=(Line("lrs", "learning rate of the linear layer", 0),),
        loss="Cross-entropy of what is known of each class.",
    )


def epoch_text(logged: Mapping[str, list], num_epochs: int) -> str:
    """The last epoch in a line of the log."""
    last = {name: values[-1] for name, values in logged.items() if values}
    done = len(logged["epoch_end_timestamps"])
    return (
        f"epoch {done}/{num_epochs}: train_loss {last['train_losses']:.4f} | val_loss "
        f"{last['val_losses']:.4f} | mean AUROC {last[AUROC]:.4f}, mean average precision "
        f"{last[AVERAGE_PRECISION]:.4f} | {last['images_per_second']:.1f} images/s, "
        f"{epoch_seconds(logged)[-1]:.1f} s"
    )


class EncoderProgress:
    """Draws and records a training after every epoch; its failures do not end the training."""

    def __init__(self, trainer: nnUNetTrainer, described: Described):
        """Watches a trainer that is about to train, in the first process.

        Args:
            trainer: with `settings`.
            described: what it is.
        """
        self._trainer, self._described = trainer, described
        self._shown = classes_shown(described.classes)
        self._guard = Guard(trainer.print_to_log_file)
        self._pace = Pace(SHARE_OF_PICTURES, EXPECTED_PROGRESS_S)

    def after_epoch(self) -> None:
        """Draws if it is due, and writes the record; called before the epoch is counted."""
        trainer = self._trainer
        with self._guard("progress.png"):
            logged = trainer.logger.local_logger.my_fantastic_logging
            done = trainer.current_epoch + 1
            run = run_of(trainer)
            if done == trainer.num_epochs or self._pace.is_due():
                with self._pace.measured():
                    title = f"{run['trainer']} on {run['data set']}"
                    draw_progress(
                        plots(logged, self._shown),
                        Path(trainer.output_folder) / "progress.png",
                        f"{title}: {done} of {trainer.num_epochs} epochs",
                    )
            described = self._described
            training, validation = list(described.training), list(described.validation)
            record = {
                "method": described.method,
                "run": run,
                "command": command_of(trainer),
                "cases": {"training": training, "validation": validation},
                "data": {
                    "training cases": len(training),
                    "validation cases": len(validation),
                    "classes": list(described.classes),
                    **described.data,
                    **data_of(trainer),
                },
                "settings": trainer.settings.as_plain(),
                "num_epochs": trainer.num_epochs,
                "shown": self._shown.as_plain(),
                "warnings": of_every_training(logged),
                "citations": citations_of(trainer.output_folder),
                "logged": logged,
            }
            write_record(trainer.output_folder, record)
