"""nnUNetv2_pcrl_evaluate_classes: how good predicted probabilities of classes are."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error
from nnunetv2_pcrl.datasets.class_policies import BLANKS, POLICIES


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_evaluate_classes",
        description="Compares predicted probabilities with a table of classes: AUROC and average "
        "precision per class with intervals over patients, curves, calibration, the most wrong "
        "cases as pictures.",
    )
    add = parser.add_argument
    add("predictions", type=Path, help="table of nnUNetv2_pcrl_predict_classes")
    add("classes", type=Path, help="classes.csv with the truth")
    add("-o", required=True, type=Path, metavar="FOLDER", help="output")
    add(
        "-i",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="images for the pictures (default: imagesTr and imagesTs beside classes.csv)",
    )
    add("--uncertain", default="ignore", choices=POLICIES, help="what -1 means (default: ignore)")
    add("--blank", default="unknown", choices=BLANKS, help="what a blank means (default: unknown)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parsed(build_parser(), arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.datasets.classes import read_classes
    from nnunetv2_pcrl.tasks.classification.evaluating import (
        PAGE_NAME,
        SUMMARY_NAME,
        scores_in_words,
        write_evaluation,
    )
    from nnunetv2_pcrl.tasks.classification.pictures import RawPictures
    from nnunetv2_pcrl.tasks.classification.predictions import read_predictions, truth_of

    with exit_with_error():
        predictions = read_predictions(args.predictions)
        table = read_classes(args.classes, args.uncertain, args.blank)
        truth, predicted = truth_of(predictions, table)
        args.o.mkdir(parents=True, exist_ok=True)
        beside = [args.classes.parent / name for name in ("imagesTr", "imagesTs")]
        about = {
            "predictions": str(args.predictions),
            "classes": str(args.classes),
            "predicted cases without known class": len(predictions.identifiers) - len(truth),
            "uncertain": args.uncertain,
            "blank": args.blank,
        }
        pictures = RawPictures(args.i or beside)
        scores = write_evaluation(args.o, truth, predicted, pictures, about)
        print("\n".join(scores_in_words(scores)))
        print(f"\nWritten:\n  {args.o / SUMMARY_NAME}\n  {args.o / PAGE_NAME}")


if __name__ == "__main__":
    main()
