"""The grid of trainings: which data sets, weights, label folds, and what is done with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.classes import find_classes, read_classes
from nnunetv2_pcrl.datasets.raw import environment_folder
from nnunetv2_pcrl.label_folds.splits import read_splits
from nnunetv2_pcrl.label_folds.table import LabelFold, read_label_folds
from nnunetv2_pcrl.tasks.encoder.ranking import auroc

DATASETS = {"NIH": "Dataset107_NIHPneumonia", "LUNA": "Dataset108_LUNAPatches"}
PLANS, CONFIGURATION, FOLD = "nnUNetPlansTiny", "2d", 0
SCRATCH = "scratch"
ARMS = (SCRATCH, "PCRLv2", "SimCLR", "MAE")
NUM_DRAWS = 5
PROBE, FINETUNING = "linear probe", "fine-tuning"


@dataclass(frozen=True)
class Run:
    """One training, or one probe.

    Attributes:
        dataset: NIH or LUNA.
        arm: whose weights, or scratch.
        kind: linear probe or fine-tuning.
        label_fold: which labels; its repeat is the draw, and the seed of the training.
    """

    dataset: str
    arm: str
    kind: str
    label_fold: LabelFold

    @property
    def trainer(self) -> str:
        """Name of the trainer that does it."""
        method = "PCRLv2_fromScratch" if self.arm == SCRATCH else self.arm
        method, *words = method.split("_")
        words += ["allStages", f"seed{self.label_fold.repeat}"]
        return "_".join((f"{method}ClassificationTrainer", *words))

    @property
    def predictions(self) -> Path:
        """Where its predictions lie."""
        results = environment_folder("nnUNet_results") / DATASETS[self.dataset]
        kind = self.kind.replace(" ", "_")
        return results / "measured" / kind / self.arm / f"fold_{self.label_fold.fold}.csv"


def preprocessed(dataset: str) -> Path:
    """Folder of a data set in nnUNet_preprocessed."""
    return environment_folder("nnUNet_preprocessed") / DATASETS[dataset]


def pretraining(method: str) -> str:
    """Trainer of a pretraining."""
    return f"{method}PretrainTrainer"


def weights_of(dataset: str, method: str) -> Path:
    """What the pretraining of a method leaves."""
    results = environment_folder("nnUNet_results") / DATASETS[dataset]
    folder = results / f"{pretraining(method)}__{PLANS}__{CONFIGURATION}" / f"fold_{FOLD}"
    return folder / "pretrained_weights.pth"


def grid(kind: str) -> Iterator[Run]:
    """All runs of a kind, draw by draw, so that a part of them is a whole with fewer draws."""
    for draw in range(NUM_DRAWS):
        for dataset in DATASETS:
            folds = [f for f in read_label_folds(preprocessed(dataset)) if f.repeat == draw]
            for fold in sorted(folds, key=lambda fold: fold.num_cases):
                for arm in ARMS:
                    yield Run(dataset, arm, kind, fold)


def training_cases(run: Run) -> list[str]:
    """Labelled cases of a run."""
    return read_splits(preprocessed(run.dataset))[run.label_fold.fold]["train"]


def validation_cases(dataset: str) -> list[str]:
    """Cases of the fold, which no run has seen."""
    return read_splits(preprocessed(dataset))[FOLD]["val"]


@cache
def table_of(dataset: str):
    """The classes of a data set."""
    return read_classes(find_classes(preprocessed(dataset)))


def score(dataset: str, predicted: dict[str, float], weights: np.ndarray | None = None):
    """AUROC of the validation cases, shape [R].

    Args:
        dataset: NIH or LUNA.
        predicted: by case.
        weights: of the cases, shape [R, N].
    """
    table = table_of(dataset).of(validation_cases(dataset))
    values = np.array([predicted[case] for case in table.identifiers])
    return auroc(values, table.targets[:, 0], weights)
