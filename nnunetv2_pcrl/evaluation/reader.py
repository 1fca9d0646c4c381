"""What a kind of validation has to say of its runs, for everything else to compare it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nnunetv2_pcrl.evaluation.choice import ChosenCases
from nnunetv2_pcrl.evaluation.comparison import Comparison
from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.metric import ScoresOfRun


@dataclass(frozen=True)
class Curve:
    """A number that nnU-Net's logger holds for every epoch.

    Attributes:
        key: in the logger.
        name: as on an axis.
        title: what it is, in a few words.
    """

    key: str
    name: str
    title: str


class SummaryReader(ABC):
    """Reads validation/summary.json of the runs of one task on one data set.

    A new kind of summary is a subclass in a file of its own, listed in `readers.py`.
    """

    curve: ClassVar[Curve]

    @classmethod
    @abstractmethod
    def reads(cls, summary: Mapping[str, Any]) -> bool:
        """Whether a summary is of this kind, by its keys."""

    @classmethod
    @abstractmethod
    def of_dataset(cls, preprocessed: Path, plans: str, with_surfaces: bool) -> "SummaryReader":
        """The reader of a preprocessed data set.

        Args:
            preprocessed: its folder in nnUNet_preprocessed.
            plans: name of the plans.
            with_surfaces: whether surface distances are wanted, where there are any.

        Raises:
            ValueError: if something of the data set is missing.
        """

    @abstractmethod
    def scores(self, folder: Path, fold: int, measured: Measured) -> ScoresOfRun:
        """Scores of a finished run; the same metrics and labels for every run.

        Args:
            folder: result folder of the run.
            fold: its number in splits_final.json.
            measured: remembers what takes long to measure.

        Raises:
            ValueError: if the summary is damaged, or is of other cases than the fold's.
        """

    def draw_cases(
        self, comparison: Comparison, chosen: ChosenCases, dataset_results: Path, path: Path
    ) -> bool:
        """Draws some cases as all trainers left them; whether there is such a picture.

        Args:
            comparison: what is compared.
            chosen: which cases, of which runs.
            dataset_results: the data set's folder in nnUNet_results.
            path: PNG to write.

        Raises:
            ValueError: if an image cannot be found or read.
        """
        return False
