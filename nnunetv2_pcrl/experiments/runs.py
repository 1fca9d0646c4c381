"""Where a training's results lie, and whether it is finished."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SUMMARY = Path("validation") / "summary.json"
FINAL_CHECKPOINT = "checkpoint_final.pth"
# From which nnU-Net's --c goes on.
_CHECKPOINTS = (FINAL_CHECKPOINT, "checkpoint_latest.pth", "checkpoint_best.pth")


class State(Enum):
    """How far a training is; the value is the flag with which nnU-Net goes on, None at the end."""

    MISSING = ""
    INTERRUPTED = "--c"
    NOT_VALIDATED = "--val"
    FINISHED = None


@dataclass(frozen=True)
class TrainingRun:
    """One training of nnU-Net.

    Attributes:
        trainer: class name, e.g. nnUNetTrainer_5epochs.
        plans: e.g. nnUNetPlans.
        configuration: e.g. 3d_fullres.
        fold: number or "all".
    """

    trainer: str
    plans: str
    configuration: str
    fold: int | str

    def folder(self, dataset_results: Path) -> Path:
        """Its result folder in the data set's folder of nnUNet_results."""
        name = f"{self.trainer}__{self.plans}__{self.configuration}"
        return dataset_results / name / f"fold_{self.fold}"

    def is_validated(self, dataset_results: Path) -> bool:
        """Whether a segmentation training and its validation are over."""
        folder = self.folder(dataset_results)
        return (folder / SUMMARY).is_file() and (folder / FINAL_CHECKPOINT).is_file()

    def state(self, dataset_results: Path) -> State:
        """How far a segmentation training is, by the files that it left."""
        folder = self.folder(dataset_results)
        if self.is_validated(dataset_results):
            return State.FINISHED
        if (folder / FINAL_CHECKPOINT).is_file():
            return State.NOT_VALIDATED
        if any((folder / name).is_file() for name in _CHECKPOINTS):
            return State.INTERRUPTED
        return State.MISSING
