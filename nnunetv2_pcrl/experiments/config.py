"""config.json of an experiment: the trainings as data. Nothing in it names code to run."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.experiments.commands import DEVICES, TrainingOptions
from nnunetv2_pcrl.experiments.planned_run import PlannedRun
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.trainings import DatasetGrid
from nnunetv2_pcrl.label_folds.table import label_fold_of
from nnunetv2_pcrl.weights.plain_names import plain_number

CONFIG_NAME = "config.json"
# Of data sets, trainers, plans and configurations: they become folders, arguments and wildcards.
_PLAIN = re.compile(r"\w[\w.+=-]*")


def config_text(grids: Sequence[DatasetGrid]) -> str:
    """What config.json holds.

    Raises:
        ValueError: if a name cannot be that of a file on every system.
    """
    options = grids[0].options
    content = {
        "device": options.device,
        "num_gpus": options.num_gpus,
        "data_sets": [
            {
                "data_set": grid.options.dataset_results.name,
                "trainings": [_as_plain(planned) for planned in grid.grid],
            }
            for grid in grids
        ],
    }
    # What cannot be read again is refused now.
    _grids_of(content, options.dataset_results.parent)
    return json.dumps(content, indent=1) + "\n"


def read_config(path: Path, results: Path) -> tuple[DatasetGrid, ...]:
    """The trainings of an experiment.

    Args:
        path: of config.json.
        results: absolute path of nnUNet_results.

    Raises:
        ValueError: if it is no such file, or holds what is no plain name.
    """
    try:
        return _grids_of(json.loads(path.read_text(encoding="utf-8")), results)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not describe an experiment ({type(error).__name__}: {error}). Let "
            f"nnUNetv2_pcrl_experiment write it anew into another folder."
        ) from error


def _grids_of(content: Mapping[str, Any], results: Path) -> tuple[DatasetGrid, ...]:
    if content["device"] not in DEVICES:
        raise ValueError(f"device {content['device']!r} is none of {', '.join(DEVICES)}")
    num_gpus = plain_number(content["num_gpus"], "num_gpus")
    grids = []
    for of_data_set in content["data_sets"]:
        name = _plain(of_data_set["data_set"])
        options = TrainingOptions(results / name, content["device"], num_gpus)
        grids.append(DatasetGrid(options, tuple(map(_planned, of_data_set["trainings"]))))
    return tuple(grids)


def _as_plain(planned: PlannedRun) -> dict[str, Any]:
    run, start, part = planned.run, planned.weights_of, planned.label_fold
    plain = {name: getattr(run, name) for name in ("trainer", "plans", "configuration", "fold")}
    if start is not None:
        plain["weights_of"] = {"trainer": start.trainer, "fold": start.fold}
    if planned.weights is not None:
        plain["weights"] = str(planned.weights)
    if part is not None:
        plain["label_fold"] = part.as_plain()
    return plain


def _planned(plain: Mapping[str, Any]) -> PlannedRun:
    def run(trainer: str, fold: int | str) -> TrainingRun:
        plans, configuration = _plain(plain["plans"]), _plain(plain["configuration"])
        number = fold if fold == "all" else plain_number(fold, "fold")
        return TrainingRun(_plain(trainer), plans, configuration, number)

    start, part = plain.get("weights_of"), plain.get("label_fold")
    return PlannedRun(
        run(plain["trainer"], plain["fold"]),
        start and run(start["trainer"], start["fold"]),
        part and label_fold_of(part),
        _given_weights(plain.get("weights")),
    )


def _given_weights(path: Any) -> Path | None:
    if path is None:
        return None
    if not isinstance(path, str) or not Path(path).is_absolute():
        raise ValueError(f"weights {path!r} are no absolute path")
    return Path(path)


def _plain(name: str) -> str:
    if not _PLAIN.fullmatch(name):
        raise ValueError(
            f"{name!r} has characters other than letters, digits and _ . + = -: rename it"
        )
    return name
