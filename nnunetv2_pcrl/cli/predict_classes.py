"""nnUNetv2_pcrl_predict_classes: probabilities of classes for raw images."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.messages import exit_with_error


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_predict_classes",
        description="Writes a table with one probability per class for every image of a folder, "
        "the mean over the folds of a classification.",
    )
    add = parser.add_argument
    add("-i", required=True, type=Path, metavar="FOLDER", help="images, named as for nnU-Net")
    add("-o", required=True, type=Path, metavar="FILE.csv", help="table to write")
    add("-d", required=True, metavar="ID", help="data set of the training, number or name")
    add("-c", required=True, metavar="CONFIGURATION", help="e.g. 2d")
    add(
        "-f",
        nargs="+",
        default=["0", "1", "2", "3", "4"],
        metavar="FOLD",
        help="folds whose probabilities are averaged (default: 0 1 2 3 4)",
    )
    add("-p", default="nnUNetPlans", metavar="PLANS", help="plans name (default: nnUNetPlans)")
    add(
        "-tr",
        default="PCRLv2ClassificationTrainer",
        metavar="TRAINER",
        help="(default: PCRLv2ClassificationTrainer)",
    )
    add("-chk", default="checkpoint_final.pth", metavar="NAME", help="of the checkpoints")
    add("-npp", type=int, default=3, help="processes that preprocess (default: 3; 0: this one)")
    add("-device", default="cuda", choices=("cuda", "cpu", "mps"), help="(default: cuda)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = build_parser().parse_args(arguments)
    # Here, so that --help is quick.
    import torch

    from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder
    from nnunetv2_pcrl.tasks.classification.predictions import write_predictions
    from nnunetv2_pcrl.tasks.classification.raw_prediction import (
        find_cases,
        num_input_channels,
        predict_raw,
    )
    from nnunetv2_pcrl.tasks.classification.trained_folds import read_folds

    with exit_with_error():
        results = find_dataset_folder("nnUNet_results", args.d)
        folder = results / f"{args.tr}__{args.p}__{args.c}"
        folds = read_folds(folder, args.f, args.chk)
        first = next(iter(folds.values()))
        ending = first.dataset_json["file_ending"]
        files = find_cases(args.i, ending, num_input_channels(first))
        if not args.o.parent.is_dir():
            raise ValueError(f"There is no folder {args.o.parent} to write {args.o.name} into.")
        print(f"Predicting {len(files)} cases with {len(folds)} folds of {folder}")
        predictions = predict_raw(list(folds.values()), files, torch.device(args.device), args.npp)
        write_predictions(args.o, predictions)
        print(f"Written: {args.o}, classes: {', '.join(predictions.names)}")


if __name__ == "__main__":
    main()
