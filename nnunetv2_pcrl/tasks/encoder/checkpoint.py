"""What a checkpoint of these trainings holds beside nnU-Net's entries, and how it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.encoder.settings import EncoderSettings
from nnunetv2_pcrl.tasks.encoder.task import Task
from nnunetv2_pcrl.tasks.start import unwrapped
from nnunetv2_pcrl.weights.reading import load_safely


@dataclass(frozen=True)
class TrainedClassifier:
    """A training as its checkpoint describes it.

    Attributes:
        names: of the classes.
        kind: "multilabel" or "multiclass".
        settings: of the training.
        plans, dataset_json: nnU-Net's.
        configuration: e.g. 2d.
        weights: of the `Classifier`.
    """

    names: tuple[str, ...]
    kind: str
    settings: EncoderSettings
    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    configuration: str
    weights: Mapping[str, Tensor]


def checkpoint_of(trainer: nnUNetTrainer, classes: ClassTable) -> dict[str, Any]:
    """The checkpoint of a trainer after its current epoch; tensors and plain values only.

    Args:
        trainer: in training, with `task` and `settings`.
        classes: what it learns.
    """
    scaler = trainer.grad_scaler
    return {
        "network_weights": unwrapped(trainer.network).state_dict(),
        "optimizer_state": trainer.optimizer.state_dict(),
        "grad_scaler_state": scaler.state_dict() if scaler is not None else None,
        "logging": trainer.logger.get_checkpoint(),
        # Under nnU-Net's name for its best value; here it is an AUROC.
        "_best_ema": trainer._best_ema,
        "current_epoch": trainer.current_epoch + 1,
        "init_args": trainer.my_init_kwargs,
        "trainer_name": type(trainer).__name__,
        "inference_allowed_mirroring_axes": trainer.inference_allowed_mirroring_axes,
        "classes": list(classes.names),
        "class_kind": classes.kind,
        "section": trainer.task.section,
        "settings": trainer.settings.as_plain(),
    }


def check_classes(checkpoint: Mapping[str, Any], classes: ClassTable) -> None:
    """Refuses to go on with other classes than those that were learned, if any were.

    Raises:
        ValueError: naming both.
    """
    if "class_kind" not in checkpoint:
        return
    learned = (list(checkpoint["classes"]), checkpoint["class_kind"])
    if learned != (list(classes.names), classes.kind):
        raise ValueError(
            f"The checkpoint has learned the {learned[1]} classes {learned[0]}, the table has "
            f"the {classes.kind} classes {list(classes.names)}: put the former table back, or "
            f"train anew without --c."
        )


def read_classifier(path: Path, task: Task) -> TrainedClassifier:
    """Reads a checkpoint without running anything that it may contain.

    Args:
        path: of the checkpoint.
        task: that it must be of.

    Raises:
        ValueError: if there is none, or if it is of another training.
    """
    content = load_safely(path)
    if not isinstance(content, dict) or content.get("section") != task.section:
        raise ValueError(
            f"{path} is no checkpoint of {task.title}. Train one with nnUNetv2_train and -tr "
            f"{task.trainer_name}."
        )
    arguments = content["init_args"]
    return TrainedClassifier(
        tuple(content["classes"]),
        content["class_kind"],
        task.settings.from_values(content["settings"], task.section),
        arguments["plans"],
        arguments["dataset_json"],
        arguments["configuration"],
        content["network_weights"],
    )
