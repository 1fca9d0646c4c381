"""nnUNetv2_pcrl_compare: what pretraining gains over training from scratch, and how surely."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.messages import exit_with_error, print_failed


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_compare",
        description="Tables, figures and pictures of cases of the finished trainings on label "
        "folds, also as one page: Dice and surface distances by number of labelled cases, paired "
        "differences to the from-scratch twin, label efficiency. Runs are paired by label fold, "
        "and by seed where the names of trainers carry _seedN. Missing runs are listed.",
    )
    add = parser.add_argument
    add("-d", required=True, metavar="ID", help="data set, number or name")
    add("-c", required=True, metavar="CONFIGURATION", help="e.g. 3d_fullres")
    add("-p", default="nnUNetPlans", metavar="PLANS", help="plans name (default: nnUNetPlans)")
    add(
        "--trainers",
        nargs="+",
        help="class names; all seeds of each are taken (default: all with results on label folds)",
    )
    add(
        "--twin",
        help="the trainer to compare with (default: the first with fromScratch in its name, or "
        "else the first nnUNetTrainer)",
    )
    add("--cases", nargs="+", type=int, help="numbers of labelled cases (default: all)")
    add(
        "-o",
        type=Path,
        metavar="FOLDER",
        help="output (default: comparison_CONFIGURATION_PLANS in the results of the data set)",
    )
    add("--no_surface", action="store_true", help="without surface distances, which take longest")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = build_parser().parse_args(arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.datasets.raw import environment_folder
    from nnunetv2_pcrl.evaluation.comparing import write_comparison_files
    from nnunetv2_pcrl.evaluation.request import find_comparison
    from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder

    with exit_with_error():
        preprocessed = find_dataset_folder("nnUNet_preprocessed", args.d)
        results = environment_folder("nnUNet_results") / preprocessed.name
        comparison = find_comparison(
            preprocessed, results, args.p, args.c, args.trainers, args.twin, args.cases
        )
        output = args.o or results / f"comparison_{args.c}_{args.p}"
        outcome = write_comparison_files(
            comparison, preprocessed, results, output, not args.no_surface
        )
        print(outcome.text)
        print_failed(outcome.without_curve, "runs are not in the figure of epochs")
        print_failed(outcome.without_picture, "pictures of cases are missing")
        print("\nWritten:")
        for path in outcome.paths:
            print(f"  {path}")


if __name__ == "__main__":
    main()
