"""nnUNetv2_pcrl_experiment: trainers x numbers of labels, by nnU-Net's own commands."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nnunetv2_pcrl.cli.reports import exit_with_error
from nnunetv2_pcrl.datasets.raw import environment_folder, read_json
from nnunetv2_pcrl.experiments.commands import TrainingOptions, command_of
from nnunetv2_pcrl.experiments.grid import PlannedRun, build_grid, choose_label_folds
from nnunetv2_pcrl.experiments.locks import RunLock
from nnunetv2_pcrl.experiments.schedule import Outcome, Schedule
from nnunetv2_pcrl.experiments.states import check_weights, jobs_left
from nnunetv2_pcrl.experiments.trainers import Trainer, planned_trainers
from nnunetv2_pcrl.label_folds.files import read_table
from nnunetv2_pcrl.label_folds.results import check_unchanged
from nnunetv2_pcrl.methods.registry import METHOD_SECTIONS
from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder
from nnunetv2_pcrl.settings.plans_file import CLASSIFICATION, FINETUNE, read_section
from nnunetv2_pcrl.training.results import WEIGHTS_VARIABLE
from nnunetv2_pcrl.weights.entries import resolved_configuration


@dataclass(frozen=True)
class Experiment:
    """What the arguments ask for.

    Attributes:
        trainers: with their full names.
        grid: all trainings.
        options: what the trainings share.
        remarks: what a person should know before it starts.
    """

    trainers: tuple[Trainer, ...]
    grid: tuple[PlannedRun, ...]
    options: TrainingOptions
    remarks: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; exits with 1 if a training failed, and as a shell expects if interrupted."""
    args = build_parser().parse_args(arguments)
    with exit_with_error():
        experiment = plan_experiment(args)
        for remark in experiment.remarks:
            print(remark, file=sys.stderr if args.print else sys.stdout, flush=True)
        if args.print:
            print_commands(experiment)
            return
        if args.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("There is no CUDA device here: give -device cpu or mps, or --print.")
        outcome = Schedule(experiment.grid, experiment.options, args.jobs).run()
    report(outcome)
    if not outcome.left:
        print(f"Compare the results with\n  {compare_command(args, experiment.trainers)}")
    sys.exit(outcome.exit_status)


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_experiment",
        description="Trains every trainer with every number of labels, pretrainings included, by "
        "nnUNetv2_train. Finished trainings are not repeated, interrupted ones go on. Several of "
        "these commands can run at the same time, on one machine or many.",
    )
    add = parser.add_argument
    add("-d", required=True, metavar="ID", help="data set")
    add("-c", required=True, metavar="CONFIGURATION", help="e.g. 3d_fullres")
    add("-p", default="nnUNetPlans", metavar="PLANS", help="default: %(default)s")
    add("--trainers", nargs="+", required=True, help="trainers of a task, without their length")
    positive = {"type": _positive, "metavar": "N"}
    add("--cases", nargs="+", **positive, help="numbers of labelled cases (default: all)")
    add("--folds", nargs="+", type=int, help="ordinary folds (default: all)")
    add("--repeats", **positive, help="the first N repeats (default: all)")
    add("--budget", **positive, help="epochs of every trainer")
    add("--pretrain_epochs", **positive, help="epochs of every pretraining (default: the plan's)")
    add(
        "--transductive",
        action="store_true",
        help="pretrain on the images of all cases, those that are validated on too (default: on "
        "the training cases of the fold)",
    )
    add("-device", default="cuda", choices=("cuda", "cpu", "mps"))
    add("-num_gpus", type=_positive, default=1, help="GPUs of one training")
    add("--jobs", type=_positive, default=1, help="trainings at a time on this machine")
    add("--print", action="store_true", help="print the commands that are left, and run nothing")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def plan_experiment(args: argparse.Namespace) -> Experiment:
    """Checks everything that can be checked before the first training.

    Raises:
        ValueError: if a data set, plan, trainer or label fold is missing, or if results of another
            pretraining lie where this experiment's would.
    """
    preprocessed = find_dataset_folder("nnUNet_preprocessed", args.d)
    dataset_name = preprocessed.name
    sections = _read_sections(preprocessed / f"{args.p}.json", args.c)
    trainers = planned_trainers(
        args.trainers, sections, args.budget, args.pretrain_epochs, args.transductive
    )
    results = environment_folder("nnUNet_results").absolute() / dataset_name
    table = read_table(preprocessed)
    if table is not None:
        check_unchanged(preprocessed, table, results)
    known = table.folds if table else ()
    label_folds = choose_label_folds(known, args.d, args.cases, args.folds, args.repeats)
    grid = build_grid(trainers, label_folds, args.p, args.c)
    check_weights(grid, results)
    size = (
        f"{dataset_name}, {args.c}, {args.p}: trainers {len(trainers)} x label folds "
        f"{len(label_folds)}, pretrainings {sum(run.is_pretraining for run in grid)}"
    )
    options = TrainingOptions(args.d, results, args.device, args.num_gpus)
    return Experiment(trainers, grid, options, (size, *_remarks(trainers, sections)))


def _read_sections(plans_file: Path, configuration_name: str) -> dict[str, dict[str, Any]]:
    """The settings of the tasks in the configuration, by section."""
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
    return {
        name: read_section(configuration, name, METHOD_SECTIONS)
        for name in (FINETUNE, CLASSIFICATION)
    }


def _remarks(trainers: Sequence[Trainer], sections: dict[str, dict[str, Any]]) -> list[str]:
    remarks = []
    pretrained = [trainer for trainer in trainers if trainer.pretraining is not None]
    if any(not trainer.transductive for trainer in pretrained):
        remarks.append("Pretraining uses the training cases of the fold only, without labels.")
    if any(trainer.transductive for trainer in pretrained):
        remarks.append(
            "Transductive: pretraining of *_transductive uses the images of all cases, those that "
            "are validated on too, without labels."
        )
    if not _start_from_scratch(trainers):
        remarks.append(
            "WARNING: none of the trainers starts from scratch. What pretraining gains shows only "
            "beside one that does: nnUNetTrainer or PCRLv2FinetuneTrainer_fromScratch, and for "
            "classes PCRLv2ClassificationTrainer_fromScratch."
        )
    named = [section["weights"] for section in sections.values() if section.get("weights")]
    if pretrained and named:
        remarks.append(
            f"The plans name the weights {', '.join(named)}: they are not used here, because "
            f"{WEIGHTS_VARIABLE} with this experiment's own weights comes before them."
        )
    if len({trainer.num_epochs for trainer in trainers}) > 1:
        lengths = ", ".join(
            f"{trainer.name}: {trainer.num_epochs or 'its own number of'} epochs"
            for trainer in trainers
        )
        remarks.append(
            f"WARNING: the trainers differ in length ({lengths}), so a difference between them may "
            f"come from that alone. --budget EPOCHS gives all the same."
        )
    return remarks


def print_commands(experiment: Experiment) -> None:
    """Commands that are left on stdout, pretrainings first; remarks on stderr."""
    options = experiment.options
    jobs = jobs_left(experiment.grid, options.dataset_results)
    commands = {True: [], False: []}
    for job in jobs:
        lock = RunLock(job.planned.run, options.dataset_results)
        if lock.is_held_elsewhere():
            print(f"{job.planned} is run by {lock.holder()}", file=sys.stderr)
        else:
            commands[job.planned.is_pretraining].append(command_of(job, options).for_shell())
    if commands[True]:
        print(
            f"Pretrainings come first ({len(commands[True])} of "
            f"{sum(map(len, commands.values()))} commands): others start from their weights.",
            file=sys.stderr,
        )
    for command in commands[True] + commands[False]:
        print(command)


def report(outcome: Outcome) -> None:
    """What is not finished, and why."""
    if outcome.failed:
        print(f"\nFailed ({len(outcome.failed)}); the same command tries again:")
        for planned, reason in outcome.failed.items():
            print(f"  {planned}: {reason}")
    if outcome.elsewhere:
        print(f"\nLeft to others ({len(outcome.elsewhere)}):")
        for planned, holder in outcome.elsewhere.items():
            print(f"  {planned}: {holder}")
    if outcome.left:
        print(f"\nNot finished ({len(outcome.left)}); the same command goes on:")
        for planned in outcome.left:
            print(f"  {planned}")


def _start_from_scratch(trainers: Sequence[Trainer]) -> list[Trainer]:
    return [trainer for trainer in trainers if trainer.pretraining is None]


def compare_command(args: argparse.Namespace, trainers: Sequence[Trainer]) -> str:
    """What evaluates the grid, for a shell."""
    command = ["nnUNetv2_pcrl_compare", "-d", args.d, "-c", args.c, "-p", args.p]
    # Without a twin among these, it may find one among earlier results.
    if _start_from_scratch(trainers):
        command += ["--trainers", *(trainer.name for trainer in trainers)]
    if args.cases:
        command += ["--cases", *map(str, args.cases)]
    return shlex.join(command)


if __name__ == "__main__":
    main()
