"""The trainings of an experiment on any number of data sets, each by the place of its results."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.experiments.commands import TrainingOptions
from nnunetv2_pcrl.experiments.planned_run import PlannedRun
from nnunetv2_pcrl.experiments.runs import State, TrainingRun
from nnunetv2_pcrl.experiments.states import Job, jobs_left, state_of


@dataclass(frozen=True)
class Training:
    """A training of an experiment.

    Attributes:
        planned: what is trained.
        options: of all trainings on its data set.
    """

    planned: PlannedRun
    options: TrainingOptions

    @property
    def name(self) -> str:
        """DATASET/TRAINER__PLANS__CONFIGURATION/fold_N: its result folder in nnUNet_results."""
        return name_of(self.planned.run, self.options)

    @property
    def folder(self) -> Path:
        """Its result folder."""
        return self.planned.run.folder(self.options.dataset_results)

    @property
    def state(self) -> State:
        """How far it is."""
        return state_of(self.planned, self.options.dataset_results)

    def __str__(self) -> str:
        """For a person."""
        return f"{self.options.dataset_results.name}: {self.planned}"


def name_of(run: TrainingRun, options: TrainingOptions) -> str:
    """The name of a run as a training of an experiment."""
    folder = run.folder(options.dataset_results)
    return folder.relative_to(options.dataset_results.parent).as_posix()


@dataclass(frozen=True)
class DatasetGrid:
    """All trainings on a data set, in their order.

    Attributes:
        options: what they share.
        grid: see `build_grid`.
    """

    options: TrainingOptions
    grid: tuple[PlannedRun, ...]

    def trainings(self) -> list[Training]:
        """All of them."""
        return [Training(planned, self.options) for planned in self.grid]

    def jobs_left(self) -> list[Job]:
        """What is not finished, without pretrainings that nobody has to load any more."""
        return jobs_left(self.grid, self.options.dataset_results)


def trainings_left(grids: Iterable[DatasetGrid]) -> list[Training]:
    """What is not finished of all data sets, in the order in which to run it."""
    return [Training(job.planned, grid.options) for grid in grids for job in grid.jobs_left()]
