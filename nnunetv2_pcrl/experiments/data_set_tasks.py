"""Which trainers of an experiment suit which of its data sets."""

from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.datasets.candidates import CANDIDATES
from nnunetv2_pcrl.datasets.classes import CLASSES_FILE
from nnunetv2_pcrl.datasets.raw import is_beside

SEGMENTATION, CLASSIFICATION, NODULES = "segmentation", "classification", "nodules"


def task_of(trainer: str) -> str:
    """What a trainer learns, by its name."""
    if "NoduleTrainer" in trainer:
        return NODULES
    return CLASSIFICATION if "ClassificationTrainer" in trainer else SEGMENTATION


def trainers_for(names: Sequence[str], preprocessed: Path) -> list[str]:
    """The trainers that a data set takes, where trainers of several tasks are named.

    A data set with a candidates.csv takes those of nodules, one with a classes.csv those of
    classification, any other those of segmentation, as far as there are such among them.

    Args:
        names: of trainers.
        preprocessed: folder of the data set in nnUNet_preprocessed.
    """
    tasks = {name: task_of(name) for name in names}
    named = set(tasks.values())
    if len(named) < 2:
        return list(names)
    suited = SEGMENTATION
    if CLASSIFICATION in named and is_beside(preprocessed, CLASSES_FILE):
        suited = CLASSIFICATION
    if NODULES in named and is_beside(preprocessed, CANDIDATES):
        suited = NODULES
    return [name for name, task in tasks.items() if task == suited]
