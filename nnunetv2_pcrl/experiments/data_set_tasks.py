"""Which trainers of an experiment suit which of its data sets."""

from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.datasets.classes import find_classes

_OF_CLASSES = "ClassificationTrainer"


def trainers_for(names: Sequence[str], preprocessed: Path) -> list[str]:
    """The trainers that a data set takes, where trainers of both tasks are named.

    A data set with a classes.csv takes those of classification, any other those of segmentation.

    Args:
        names: of trainers.
        preprocessed: folder of the data set in nnUNet_preprocessed.
    """
    of_classes = [name for name in names if _OF_CLASSES in name]
    if len(of_classes) in (0, len(names)):
        return list(names)
    if _has_classes(preprocessed):
        return of_classes
    return [name for name in names if name not in of_classes]


def _has_classes(preprocessed: Path) -> bool:
    try:
        find_classes(preprocessed)
    except ValueError:
        return False
    return True
