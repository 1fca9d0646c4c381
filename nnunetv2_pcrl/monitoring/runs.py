"""Runs as the report sees them: read from their records, told apart by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.monitoring.charts import Chart, finetuning_charts, pretraining_charts
from nnunetv2_pcrl.monitoring.record import read_record


@dataclass(frozen=True)
class Run:
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


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Reads the records of runs and names each by what differs.

    Raises:
        ValueError: if a folder has no record.
    """
    records = [read_record(folder) for folder in folders]
    parts = [_name_parts(record) for record in records]
    differing = [i for i in range(len(parts[0])) if len({part[i] for part in parts}) > 1]
    names = []
    for number, part in enumerate(parts):
        name = ", ".join(part[i] for i in differing) or part[1]
        names.append(name if name not in names else f"{name} ({number + 1})")
    return [Run(*run) for run in zip(folders, names, records, strict=True)]


def _name_parts(record: dict[str, Any]) -> tuple[str, ...]:
    about = record["run"]
    names = ("data set", "trainer", "plans", "configuration")
    return (*(str(about[name]) for name in names), f"fold {about['fold']}")


def state_of(run: Run) -> str:
    """How far it is, in words."""
    planned = run.record["num_epochs"]
    if run.epochs_done >= planned:
        return f"finished, {planned} epochs"
    return f"{run.epochs_done} of {planned} epochs done"


def charts_of(run: Run) -> list[Chart]:
    """Charts of a pretraining or a fine-tuning; none before the first epoch is over."""
    if not run.epochs_done:
        return []
    if "num_levels" not in run.record:
        return finetuning_charts(run.logged)
    return pretraining_charts(run.logged, run.record["num_levels"], run.record["settings"])
