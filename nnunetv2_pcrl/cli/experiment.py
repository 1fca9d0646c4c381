"""nnUNetv2_pcrl_experiment: trainers x numbers of labels x data sets, through Snakemake."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error
from nnunetv2_pcrl.datasets.raw import environment_folder
from nnunetv2_pcrl.experiments.request import ExperimentRequest

if TYPE_CHECKING:
    from nnunetv2_pcrl.experiments.planning import Experiment
    from nnunetv2_pcrl.experiments.trainings import DatasetGrid


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; exits with 1 if a training failed, and as a shell expects if interrupted."""
    parser = build_parser()
    args = parsed(parser, arguments)
    if args.o is None and not args.print:
        parser.error("-o FOLDER is missing: where to write Snakefile, config.json and logs")
    with exit_with_error():
        requests, experiments = _planned(args)
        grids = [experiment.trainings for experiment in experiments]
        for remark in dict.fromkeys(r for experiment in experiments for r in experiment.remarks):
            print(remark, file=sys.stderr if args.print else sys.stdout, flush=True)
        if args.print:
            _print_commands(grids)
            return
        # Here, so that --help is quick.
        from nnunetv2_pcrl.experiments.compare_command import compare_command

        sys.exit(_run(args, grids, compare_command(requests, experiments, args.o / "comparison")))


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_experiment",
        description="Trains every trainer with every number of labels on every data set, "
        "pretrainings included: writes a Snakefile and its config.json, and runs them through "
        "Snakemake. Finished trainings are not repeated, interrupted ones go on; the same command "
        "continues where it was stopped.",
    )
    add = parser.add_argument
    add("-d", required=True, nargs="+", metavar="ID", help="data sets")
    add("-c", required=True, metavar="CONFIGURATION", help="e.g. 3d_fullres")
    add("-p", default="nnUNetPlans", metavar="PLANS", help="default: %(default)s")
    add(
        "-o",
        type=Path,
        metavar="FOLDER",
        help="for Snakefile, config.json, logs and comparison; needed unless --print is given",
    )
    add("--trainers", nargs="+", required=True, help="trainers of a task, without their length")
    positive: dict[str, Any] = {"type": _positive, "metavar": "N"}
    add("--cases", nargs="+", **positive, help="numbers of labelled cases (default: all)")
    add("--folds", nargs="+", type=int, help="ordinary folds (default: all)")
    add("--repeats", **positive, help="the first N repeats (default: all)")
    add(
        "--seeds",
        nargs="+",
        type=_seed,
        metavar="N",
        help="every trainer of this package with each of these seeds, on every label fold; none: "
        "as their names say (default: on each label fold with one seed, its number)",
    )
    add("--budget", **positive, help="epochs of every trainer")
    add("--pretrain_epochs", **positive, help="epochs of every pretraining (default: the plan's)")
    add(
        "--transductive",
        action="store_true",
        help="pretrain on the images of all cases, those that are validated on too (default: on "
        "the training cases of the fold)",
    )
    add(
        "--weights",
        type=Path,
        metavar="FILE",
        help="what all pretrained trainers start from, e.g. the pretraining of a pool (default: "
        "each is pretrained on its own data set)",
    )
    add("-device", default="cuda", choices=("cuda", "cpu", "mps"))
    add("-num_gpus", type=_positive, default=1, help="GPUs of one training")
    add("--jobs", **positive, help="trainings at a time (default: 1, or what the profile says)")
    add(
        "--slurm",
        action="store_true",
        help="submit the trainings to SLURM, as FOLDER/slurm/config.yaml says",
    )
    add("--dry_run", action="store_true", help="write the files and show what would run")
    add("--print", action="store_true", help="print the commands that are left, and run nothing")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _seed(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither none nor a number from 0 on")
    return int(text)


def _seeds(given: Sequence[int | None] | None) -> list[int] | None:
    """None for one per label fold, an empty list for none at all."""
    if given is None:
        return None
    numbers = [seed for seed in given if seed is not None]
    if len(numbers) < len(given) and len(given) > 1:
        raise ValueError("--seeds takes none, or numbers: not both.")
    return numbers


def _planned(args: argparse.Namespace) -> tuple[list[ExperimentRequest], list["Experiment"]]:
    from nnunetv2_pcrl.experiments.data_set_tasks import trainers_for
    from nnunetv2_pcrl.experiments.planning import plan_experiment
    from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder

    results = environment_folder("nnUNet_results").absolute()
    folders = {find_dataset_folder("nnUNet_preprocessed", name): name for name in args.d}
    requests = [
        ExperimentRequest(
            dataset=name,
            configuration=args.c,
            plans_name=args.p,
            trainers=trainers_for(args.trainers, folder),
            cases=args.cases,
            folds=args.folds,
            num_repeats=args.repeats,
            budget=args.budget,
            pretrain_epochs=args.pretrain_epochs,
            seeds=_seeds(args.seeds),
            transductive=args.transductive,
            weights=args.weights and Path(os.path.abspath(args.weights.expanduser())),
            device=args.device,
            num_gpus=args.num_gpus,
        )
        for folder, name in folders.items()
    ]
    experiments = [
        plan_experiment(request, folder, results / folder.name)
        for request, folder in zip(requests, folders, strict=True)
    ]
    return requests, experiments


def _print_commands(grids: Sequence["DatasetGrid"]) -> None:
    """Commands on stdout, pretrainings first; remarks on stderr."""
    from nnunetv2_pcrl.experiments.commands import command_of
    from nnunetv2_pcrl.experiments.job import is_running
    from nnunetv2_pcrl.experiments.states import Job
    from nnunetv2_pcrl.experiments.trainings import trainings_left

    left = trainings_left(grids)
    running = [training for training in left if is_running(training)]
    for training in running:
        print(f"{training} is running", file=sys.stderr)
    left = sorted(
        (training for training in left if training not in running),
        key=lambda training: not training.planned.is_pretraining,
    )
    num_first = sum(training.planned.is_pretraining for training in left)
    if num_first:
        print(
            f"Pretrainings come first ({num_first} of {len(left)} commands): others start from "
            f"their weights.",
            file=sys.stderr,
        )
    for training in left:
        job = Job(training.planned, training.state)
        print(command_of(job, training.options).for_shell())


def _run(args: argparse.Namespace, grids: Sequence["DatasetGrid"], compare: str) -> int:
    """Writes the folder and runs it; the exit status."""
    import torch

    from nnunetv2_pcrl.experiments.folder import write_folder
    from nnunetv2_pcrl.experiments.job import train_program
    from nnunetv2_pcrl.experiments.running import (
        check_installed,
        run_snakemake,
        snakemake_options,
    )

    check_installed(args.slurm)
    train_program()
    here = not args.slurm and not args.dry_run
    if here and args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "There is no CUDA device here: give -device cpu or mps, --slurm or --print."
        )
    args.o.mkdir(parents=True, exist_ok=True)
    write_folder(args.o, grids)
    status = run_snakemake(args.o, snakemake_options(args.jobs, args.slurm, args.dry_run))
    if not args.dry_run:
        _report(grids, args.o, compare)
    return status


def _report(grids: Sequence["DatasetGrid"], folder: Path, compare: str) -> None:
    """What is not finished, or how to evaluate."""
    from nnunetv2_pcrl.experiments.trainings import trainings_left

    left = trainings_left(grids)
    if not left:
        print(f"\nAll trainings are finished. Compare the results with\n  {compare}")
        return
    print(f"\nNot finished ({len(left)}); the same command goes on:")
    for training in left:
        log = folder / "logs" / f"{training.name}.log"
        print(f"  {training}" + (f", log: {log}" if log.exists() else ""))


if __name__ == "__main__":
    main()
