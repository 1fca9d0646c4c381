"""Arguments by which commands find a training and use its folds."""

import argparse
from pathlib import Path


def add_trained_arguments(
    parser: argparse.ArgumentParser, trainer: str, configuration: str
) -> None:
    """Adds data set, configuration, folds, plans, trainer, checkpoint, processes and device.

    Args:
        parser: of a command.
        trainer: that is taken where none is named.
        configuration: an example of one.
    """
    add = parser.add_argument
    add("-d", required=True, metavar="ID", help="data set of the training, number or name")
    add("-c", required=True, metavar="CONFIGURATION", help=f"e.g. {configuration}")
    add(
        "-f",
        nargs="+",
        default=["0", "1", "2", "3", "4"],
        metavar="FOLD",
        help="folds whose probabilities are averaged (default: 0 1 2 3 4)",
    )
    add("-p", default="nnUNetPlans", metavar="PLANS", help="plans name (default: nnUNetPlans)")
    add("-tr", default=trainer, metavar="TRAINER", help=f"(default: {trainer})")
    add("-chk", default="checkpoint_final.pth", metavar="NAME", help="of the checkpoints")
    add("-npp", type=int, default=3, help="processes that preprocess (default: 3; 0: this one)")
    add("-device", default="cuda", choices=("cuda", "cpu", "mps"), help="(default: cuda)")


def folder_of(args: argparse.Namespace) -> Path:
    """The result folder of the training, which may be missing.

    Raises:
        ValueError: if the data set has no results.
    """
    from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder

    results = find_dataset_folder("nnUNet_results", args.d)
    return results / f"{args.tr}__{args.p}__{args.c}"
