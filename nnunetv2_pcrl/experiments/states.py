"""What of a grid is done already, by the files in nnU-Net's result folders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.experiments.planned_run import PlannedRun
from nnunetv2_pcrl.experiments.runs import State, TrainingRun
from nnunetv2_pcrl.weights.file_names import TRANSFER_REPORT, WEIGHTS_FILE


@dataclass(frozen=True)
class Job:
    """A training that is not finished, and how far it is."""

    planned: PlannedRun
    state: State


def state_of(planned: PlannedRun, dataset_results: Path) -> State:
    """How far a training is."""
    state = planned.run.state(dataset_results)
    if not planned.is_pretraining or state in (State.MISSING, State.INTERRUPTED):
        return state
    # A pretraining is not validated; it is over when its weights are there.
    has_weights = weights_file(planned.run, dataset_results).is_file()
    return State.FINISHED if has_weights else State.INTERRUPTED


def weights_file(pretraining: TrainingRun, dataset_results: Path) -> Path:
    """Where a pretraining leaves its weights."""
    return pretraining.folder(dataset_results) / WEIGHTS_FILE


def start_of(planned: PlannedRun, dataset_results: Path) -> Path | None:
    """The weights that a training starts from; None if from none."""
    if planned.weights_of is not None:
        return weights_file(planned.weights_of, dataset_results)
    return planned.weights


def jobs_left(grid: Sequence[PlannedRun], dataset_results: Path) -> list[Job]:
    """What is not finished, in the order of the grid.

    A pretraining counts only if a training is left that has to load its weights.
    """
    states = {planned: state_of(planned, dataset_results) for planned in grid}
    needed = {planned.weights_of for planned, state in states.items() if state is State.MISSING}
    return [
        Job(planned, state)
        for planned, state in states.items()
        if state is not State.FINISHED
        and not (planned.is_pretraining and planned.run not in needed)
    ]


def check_weights(grid: Sequence[PlannedRun], dataset_results: Path) -> None:
    """Refuses results that started otherwise than this experiment starts them.

    Names of fine-tuning trainers do not say how long the pretraining was, and weights may have been
    given by hand.

    Raises:
        ValueError: naming the results and both starts.
    """
    for planned in grid:
        if planned.is_pretraining or state_of(planned, dataset_results) is State.MISSING:
            continue
        folder = planned.run.folder(dataset_results)
        wanted = start_of(planned, dataset_results)
        used = weights_used(transfer_report(folder))
        if not _are_the_same(used, wanted):
            start = used or f"no weights or others (no {TRANSFER_REPORT})"
            raise ValueError(
                f"{folder} started from {start}, and this experiment would start it from "
                f"{wanted or 'scratch'}. Results of both cannot lie in the same folder: move the "
                f"earlier ones away, or run the experiment with a copy of the plans under another "
                f"name (-p)."
            )


def _are_the_same(used: Path | None, wanted: Path | None) -> bool:
    """Whether it is one file, where both are there; the folder of all results may have moved."""
    if used is not None and wanted is not None and used.is_file() and wanted.is_file():
        return used.samefile(wanted)
    return _place(used) == _place(wanted)


def _place(weights: Path | None) -> tuple[str, ...] | None:
    """Data set, trainer, fold and name of a file in nnUNet_results."""
    return None if weights is None else weights.parts[-4:]


def weights_used(report: Mapping[str, Any]) -> Path | None:
    """The weights that a fine-tuning started from, as its `transfer_report` says; None if none."""
    weights = report.get("weights")
    return Path(weights) if isinstance(weights, str) else None


def transfer_report(folder: Path) -> Mapping[str, Any]:
    """What a training noted of the weights that it started from; empty where there is nothing."""
    try:
        report = json.loads((folder / TRANSFER_REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}
