"""nnUNetv2_pcrl_predict_classes: probabilities of classes for raw images."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error
from nnunetv2_pcrl.cli.trained_arguments import add_trained_arguments, folder_of


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
    add_trained_arguments(parser, "PCRLv2ClassificationTrainer", "2d")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parsed(build_parser(), arguments)
    # Here, so that --help is quick.
    import torch

    from nnunetv2_pcrl.tasks.classification.predictions import write_predictions
    from nnunetv2_pcrl.tasks.classification.raw_prediction import inputs_seen, predict_raw
    from nnunetv2_pcrl.tasks.classification.task import CLASSIFICATIONS
    from nnunetv2_pcrl.tasks.encoder.raw_prediction import find_cases
    from nnunetv2_pcrl.tasks.encoder.trained_folds import num_input_channels, read_folds

    with exit_with_error():
        folder = folder_of(args)
        folds = read_folds(folder, args.f, args.chk, CLASSIFICATIONS, inputs_seen)
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
