"""What the Snakefile of an experiment asks: which trainings are left, and what each waits for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nnunetv2_pcrl.datasets.raw import environment_folder
from nnunetv2_pcrl.experiments.config import CONFIG_NAME, read_config
from nnunetv2_pcrl.experiments.runs import State
from nnunetv2_pcrl.experiments.trainings import DatasetGrid, Training, name_of, trainings_left

FINISHED = "finished"


@dataclass(frozen=True)
class Workflow:
    """The trainings of an experiment in its folder.

    Attributes:
        folder: with config.json, markers and logs.
        grids: the trainings.
    """

    folder: Path
    grids: tuple[DatasetGrid, ...]

    @classmethod
    def in_folder(cls, folder: str | Path) -> "Workflow":
        """Reads the experiment of a folder.

        Raises:
            ValueError: if nnUNet_results is not set, or config.json is none of ours.
        """
        folder = Path(folder)
        results = environment_folder("nnUNet_results").absolute()
        return cls(folder, read_config(folder / CONFIG_NAME, results))

    @property
    def num_gpus(self) -> int:
        """Of one training."""
        options = self.grids[0].options
        return options.num_gpus if options.device == "cuda" else 0

    def training(self, name: str) -> Training:
        """The training of that name.

        Raises:
            ValueError: if the experiment has none.
        """
        if name not in self._trainings:
            raise ValueError(f"{self.folder / CONFIG_NAME} has no training {name}.")
        return self._trainings[name]

    def title(self, name: str) -> str:
        """A training for a person."""
        return str(self.training(name))

    def priority(self, name: str) -> int:
        """Higher for what is to run earlier."""
        return -list(self._trainings).index(name)

    def markers_left(self) -> list[str]:
        """What has to be made: a marker for every training that is not finished."""
        return [*map(_marker, self._names_left)]

    def markers_awaited(self, name: str) -> list[str]:
        """The marker of the pretraining whose weights a training has to load, if it is left."""
        training = self.training(name)
        start = training.planned.weights_of
        if start is None or training.state is not State.MISSING:
            return []
        name = name_of(start, training.options)
        return [_marker(name)] if name in self._names_left else []

    def update_markers(self) -> None:
        """Makes the markers true: one for each finished training, none for any other."""
        for training in self._trainings.values():
            marker = self.folder / _marker(training.name)
            if training.state is not State.FINISHED:
                marker.unlink(missing_ok=True)
            elif not marker.exists():
                marker.parent.mkdir(parents=True, exist_ok=True)
                marker.touch()

    @cached_property
    def _trainings(self) -> dict[str, Training]:
        return {training.name: training for grid in self.grids for training in grid.trainings()}

    @cached_property
    def _names_left(self) -> dict[str, None]:
        # Looked up once, so that all rules see the same state.
        return dict.fromkeys(training.name for training in trainings_left(self.grids))


def _marker(name: str) -> str:
    return f"{FINISHED}/{name}"
