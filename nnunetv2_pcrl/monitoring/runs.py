"""Runs as the report sees them: read from their records, told apart by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.monitoring.charts import Plot, plots
from nnunetv2_pcrl.monitoring.record import RECORD_NAME, read_record
from nnunetv2_pcrl.monitoring.vocabulary import Shown


@dataclass(frozen=True)
class RecordedRun:
    """A run as the report sees it.

    Attributes:
        folder: its results.
        name: short and different from those of the other runs.
        record: see `record.py`.
    """

    folder: Path
    name: str
    record: dict[str, Any]

    @property
    def logged(self) -> dict[str, list]:
        """Lists with one value per epoch, by name."""
        return self.record["logged"]

    @property
    def epochs_done(self) -> int:
        """Finished epochs."""
        return len(self.logged["epoch_end_timestamps"])

    @cached_property
    def shown(self) -> Shown:
        """What it shows, as it described itself."""
        return Shown.from_plain(self.record["shown"])

    @property
    def state(self) -> str:
        """How far it is, in words."""
        planned = self.record["num_epochs"]
        if self.epochs_done >= planned:
            return f"finished, {planned} epochs"
        return f"{self.epochs_done} of {planned} epochs done"

    @property
    def plots(self) -> list[Plot]:
        """Its charts; none before the first epoch is over."""
        return plots(self.logged, self.shown) if self.epochs_done else []

    @property
    def data(self) -> tuple:
        """What the images are that its numbers are about."""
        about, data = self.record["run"], self.record["data"]
        names = ("spacing [mm]", "normalisation")
        values = [about["data set"], about["configuration"], *(data.get(name) for name in names)]
        return tuple(map(str, values))

    @property
    def likeness(self) -> tuple:
        """Runs of equal likeness log the same numbers about the same images.

        Other views or another number of negatives are other numbers; other weights of terms make
        another loss of the same terms.
        """
        defining = self.record.get("defining", {})
        return (self.record["method"], *self.data, str(sorted(defining.items())))

    @property
    def loss(self) -> tuple:
        """Runs of equal likeness and loss have losses that can be compared."""
        settings = self.record["settings"]
        weights = {name: settings[name] for name in settings if name.endswith("_weight")}
        return (self.shown.terms, str(sorted(weights.items())))


def read_runs(folders: Sequence[Path]) -> list[RecordedRun]:
    """Reads the records of runs and names each by what differs.

    Raises:
        ValueError: if a folder has no record, or one that does not describe itself.
    """
    records = [read_record(folder) for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        if not {"shown", "method"} <= record.keys():
            raise ValueError(
                f"{folder / RECORD_NAME} does not say what the run shows: another version of this "
                f"package wrote it. Make its report with that version"
            )
    parts = [_name_parts(record) for record in records]
    differing = [i for i in range(len(parts[0])) if len({part[i] for part in parts}) > 1]
    names = []
    for number, part in enumerate(parts):
        name = ", ".join(part[i] for i in differing) or part[1]
        names.append(name if name not in names else f"{name} ({number + 1})")
    return [RecordedRun(*run) for run in zip(folders, names, records, strict=True)]


def _name_parts(record: dict[str, Any]) -> tuple[str, ...]:
    about = record["run"]
    names = ("data set", "trainer", "plans", "configuration")
    return (*(str(about[name]) for name in names), f"fold {about['fold']}")
