"""A training of the grid: on which labels, and from which weights."""

from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.label_folds.table import LabelFold


@dataclass(frozen=True)
class PlannedRun:
    """A training of the grid.

    Attributes:
        run: the training.
        weights_of: the pretraining whose weights it starts from; None if from none.
        label_fold: what it trains on; None for a pretraining.
        weights: the file that a person gave it to start from, in place of a pretraining.
    """

    run: TrainingRun
    weights_of: TrainingRun | None = None
    label_fold: LabelFold | None = None
    weights: Path | None = None

    @property
    def is_pretraining(self) -> bool:
        """Whether it needs no labels."""
        return self.label_fold is None

    def __str__(self) -> str:
        """For a person."""
        name = f"{self.run.trainer}, fold {self.run.fold}"
        if self.label_fold is None:
            return name
        part = self.label_fold
        return f"{name} ({part.num_cases} cases of fold {part.of_fold}, repeat {part.repeat})"
