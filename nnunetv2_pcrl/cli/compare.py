"""nnUNetv2_pcrl_compare: what pretraining gains over training from scratch, and how surely."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error, print_failed

if TYPE_CHECKING:
    from nnunetv2_pcrl.evaluation.comparing import Outcome


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_compare",
        description="Tables, figures and pictures of cases of the finished trainings on label "
        "folds, also as one page: Dice and surface distances by number of labelled cases, paired "
        "differences to the from-scratch twin, label efficiency. Runs are paired by label fold, "
        "and by seed where the names of trainers carry _seedN. Missing runs are listed. Several "
        "data sets give one table, and all files of each in a folder of its own.",
    )
    add = parser.add_argument
    add("-d", required=True, nargs="+", metavar="ID", help="data sets, numbers or names")
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
    add("--folds", nargs="+", type=int, help="ordinary folds (default: all)")
    add("--repeats", type=int, metavar="N", help="the first N repeats (default: all)")
    add(
        "-o",
        type=Path,
        metavar="FOLDER",
        help="output (default: comparison_CONFIGURATION_PLANS in the results of the data set, or "
        "in nnUNet_results for several)",
    )
    add("--no_surface", action="store_true", help="without surface distances, which take longest")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parsed(build_parser(), arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.datasets.raw import environment_folder
    from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder

    with exit_with_error():
        folders = list(
            dict.fromkeys(find_dataset_folder("nnUNet_preprocessed", name) for name in args.d)
        )
        results = environment_folder("nnUNet_results")
        name = f"comparison_{args.c}_{args.p}"
        if len(folders) > 1:
            _compare_all(args, folders, results, args.o or results / name)
            return
        output = args.o or results / folders[0].name / name
        outcome = _compare(args, folders[0], results, output)
        print(outcome.text)
        _print_unmade(outcome)
        _print_written(outcome.paths)


def _compare(
    args: argparse.Namespace, preprocessed: Path, results: Path, output: Path
) -> "Outcome":
    """The comparison on one data set, by the trainers of its task."""
    from nnunetv2_pcrl.evaluation.comparing import write_comparison_files
    from nnunetv2_pcrl.evaluation.request import find_comparison
    from nnunetv2_pcrl.experiments.data_set_tasks import trainers_for

    trainers, twin = args.trainers, args.twin
    if trainers:
        suitable = trainers_for([*trainers, *([twin] if twin else [])], preprocessed)
        twin = twin if twin in suitable else None
        trainers = [name for name in trainers if name in suitable]
    dataset_results = results / preprocessed.name
    comparison = find_comparison(
        preprocessed,
        dataset_results,
        args.p,
        args.c,
        trainers,
        twin,
        args.cases,
        args.folds,
        args.repeats,
    )
    return write_comparison_files(
        comparison, preprocessed, dataset_results, output, not args.no_surface
    )


def _compare_all(
    args: argparse.Namespace, folders: Sequence[Path], results: Path, output: Path
) -> None:
    """The comparisons on several data sets, and all of them as one table.

    Raises:
        ValueError: if none has finished runs, with the reasons.
    """
    from nnunetv2_pcrl.evaluation.data_sets import write_data_sets_files
    from nnunetv2_pcrl.evaluation.markdown import as_markdown

    outcomes, unread = [], {}
    for preprocessed in folders:
        try:
            outcomes.append(_compare(args, preprocessed, results, output / preprocessed.name))
        except ValueError as error:
            unread[preprocessed.name] = str(error)
    if not outcomes:
        raise ValueError("\n".join(f"{name}: {reason}" for name, reason in unread.items()))
    content, paths = write_data_sets_files(outcomes, unread, output)
    print(as_markdown(content))
    for outcome in outcomes:
        _print_unmade(outcome)
    _print_written([*paths, *(outcome.paths[1] for outcome in outcomes)])


def _print_unmade(outcome: "Outcome") -> None:
    print_failed(outcome.without_curve, "runs are not in the figure of epochs")
    print_failed(outcome.without_picture, "pictures of cases are missing")


def _print_written(paths: Sequence[Path]) -> None:
    print("\nWritten:")
    for path in paths:
        print(f"  {path}")


if __name__ == "__main__":
    main()
