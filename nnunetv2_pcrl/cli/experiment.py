"""nnUNetv2_pcrl_experiment: trainers x numbers of labels, by nnU-Net's own commands."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnunetv2_pcrl.cli.messages import exit_with_error
from nnunetv2_pcrl.datasets.raw import environment_folder
from nnunetv2_pcrl.experiments.request import ExperimentRequest

if TYPE_CHECKING:
    from nnunetv2_pcrl.experiments.commands_left import CommandsLeft
    from nnunetv2_pcrl.experiments.schedule import Outcome


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; exits with 1 if a training failed, and as a shell expects if interrupted."""
    args = build_parser().parse_args(arguments)
    # Here, so that --help is quick.
    import torch

    from nnunetv2_pcrl.experiments.commands import compare_command
    from nnunetv2_pcrl.experiments.commands_left import commands_left
    from nnunetv2_pcrl.experiments.planning import plan_experiment
    from nnunetv2_pcrl.experiments.schedule import Schedule
    from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder

    request = _request(args)
    with exit_with_error():
        preprocessed = find_dataset_folder("nnUNet_preprocessed", args.d)
        results = environment_folder("nnUNet_results").absolute() / preprocessed.name
        experiment = plan_experiment(request, preprocessed, results)
        for remark in experiment.remarks:
            print(remark, file=sys.stderr if args.print else sys.stdout, flush=True)
        if args.print:
            _print_commands(commands_left(experiment.grid, experiment.options))
            return
        if args.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("There is no CUDA device here: give -device cpu or mps, or --print.")
        outcome = Schedule(experiment.grid, experiment.options, args.jobs).run()
        _report(outcome)
        if not outcome.left:
            print(f"Compare the results with\n  {compare_command(request, experiment.trainers)}")
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


def _request(args: argparse.Namespace) -> ExperimentRequest:
    return ExperimentRequest(
        dataset=args.d,
        configuration=args.c,
        plans_name=args.p,
        trainers=args.trainers,
        cases=args.cases,
        folds=args.folds,
        num_repeats=args.repeats,
        budget=args.budget,
        pretrain_epochs=args.pretrain_epochs,
        transductive=args.transductive,
        device=args.device,
        num_gpus=args.num_gpus,
    )


def _print_commands(left: "CommandsLeft") -> None:
    """Commands on stdout, pretrainings first; remarks on stderr."""
    for planned, holder in left.elsewhere.items():
        print(f"{planned} is run by {holder}", file=sys.stderr)
    first, others = left.pretrainings, left.others
    if first:
        print(
            f"Pretrainings come first ({len(first)} of {len(first) + len(others)} commands): "
            f"others start from their weights.",
            file=sys.stderr,
        )
    for command in first + others:
        print(command)


def _report(outcome: "Outcome") -> None:
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


if __name__ == "__main__":
    main()
