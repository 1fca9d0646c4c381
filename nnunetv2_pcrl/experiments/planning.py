"""Plans an experiment: checks everything that can be checked before the first training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.datasets.raw import read_json
from nnunetv2_pcrl.experiments.commands import TrainingOptions
from nnunetv2_pcrl.experiments.grid import build_grid, choose_label_folds
from nnunetv2_pcrl.experiments.remarks import remarks_before, remarks_on_given_weights
from nnunetv2_pcrl.experiments.request import ExperimentRequest
from nnunetv2_pcrl.experiments.states import check_weights
from nnunetv2_pcrl.experiments.trainers import Trainer, planned_trainers
from nnunetv2_pcrl.experiments.trainings import DatasetGrid
from nnunetv2_pcrl.label_folds.files import read_table
from nnunetv2_pcrl.label_folds.results import check_unchanged
from nnunetv2_pcrl.methods.registry import METHOD_SECTIONS
from nnunetv2_pcrl.settings.plans_file import TASK_SECTIONS, read_section
from nnunetv2_pcrl.weights.entries import resolved_configuration
from nnunetv2_pcrl.weights.sources import PretrainedSource, read_source


@dataclass(frozen=True)
class Experiment:
    """What a request comes to.

    Attributes:
        trainers: with their full names.
        trainings: all of them, on the data set.
        remarks: what a person should know before it starts.
    """

    trainers: tuple[Trainer, ...]
    trainings: DatasetGrid
    remarks: tuple[str, ...]


def plan_experiment(
    request: ExperimentRequest, preprocessed: Path, dataset_results: Path
) -> Experiment:
    """The trainings that a request comes to, checked.

    Args:
        request: of a person.
        preprocessed: folder of the data set in nnUNet_preprocessed.
        dataset_results: absolute path of its folder in nnUNet_results, which may be missing.

    Raises:
        ValueError: if a plan, trainer or label fold is missing, or if results of another
            pretraining lie where this experiment's would.
    """
    configuration, plans_name = request.configuration, request.plans_name
    source = _given_source(request)
    values = _read_configuration(preprocessed / f"{plans_name}.json", configuration)
    sections = {name: read_section(values, name, METHOD_SECTIONS) for name in TASK_SECTIONS}
    trainers = planned_trainers(
        request.trainers,
        sections,
        request.budget,
        request.pretrain_epochs,
        request.transductive,
        request.seeds or (),
    )
    table = read_table(preprocessed)
    if table is not None:
        check_unchanged(preprocessed, table, dataset_results)
    label_folds = choose_label_folds(
        table.folds if table else (),
        request.dataset,
        request.cases,
        request.folds,
        request.num_repeats,
    )
    by_fold = request.seeds is None
    grid = build_grid(trainers, label_folds, plans_name, configuration, by_fold, request.weights)
    check_weights(grid, dataset_results)
    size = (
        f"{preprocessed.name}, {configuration}, {plans_name}: trainers {len(trainers)} x label "
        f"folds {len(label_folds)}, pretrainings {sum(run.is_pretraining for run in grid)}"
    )
    options = TrainingOptions(dataset_results, request.device, request.num_gpus)
    remarks = (size, *remarks_before(trainers, sections, request.weights))
    if source is not None:
        schemes = values["normalization_schemes"]
        remarks += (*remarks_on_given_weights(trainers, source, preprocessed.name, schemes),)
    return Experiment(trainers, DatasetGrid(options, grid), remarks)


def _given_source(request: ExperimentRequest) -> PretrainedSource | None:
    if request.weights is None:
        return None
    if request.pretrain_epochs is not None or request.transductive:
        option = "transductive" if request.transductive else "pretrain_epochs"
        raise ValueError(f"--weights leaves nothing to pretrain: leave it or --{option} out.")
    return read_source(request.weights)


def _read_configuration(plans_file: Path, configuration_name: str) -> Mapping[str, Any]:
    """A configuration of the plans, with what it inherits."""
    if not plans_file.is_file():
        raise ValueError(
            f"There is no {plans_file}: plan and preprocess the data set with "
            f"nnUNetv2_plan_and_preprocess, or name its plans with -p."
        )
    plans = read_json(plans_file)
    for key, name in (("plans_name", plans_file.stem), ("dataset_name", plans_file.parent.name)):
        if plans.get(key) != name:
            raise ValueError(
                f'"{key}" in {plans_file} is {plans.get(key)}. nnU-Net names result folders by it, '
                f"so they would be those of another experiment. Make it {name}."
            )
    if configuration_name not in plans["configurations"]:
        raise ValueError(
            f"{plans_file} has no configuration {configuration_name}, only "
            f"{', '.join(plans['configurations'])}."
        )
    configuration = resolved_configuration(plans, configuration_name)
    if configuration.get("previous_stage"):
        raise ValueError(
            f"{configuration_name} needs predictions of {configuration['previous_stage']} for all "
            f"cases, which label folds do not give. Choose another configuration."
        )
    return configuration
