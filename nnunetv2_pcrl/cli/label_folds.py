"""nnUNetv2_pcrl_label_folds: folds with fewer labels, for measuring how many are needed."""

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error
from nnunetv2_pcrl.cli.num_processes import add_num_processes, num_processes

if TYPE_CHECKING:
    from nnunetv2_pcrl.label_folds.appending import Appended
    from nnunetv2_pcrl.label_folds.table import LabelFold


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_label_folds",
        description="Appends folds to splits_final.json that train on some of the cases of a fold "
        "and validate on all of its. Smaller subsets are parts of larger ones. Folds that are "
        "there stay as they are; a rerun appends what is missing.",
    )
    add = parser.add_argument
    add("-d", required=True, metavar="ID", help="data set, preprocessed")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--fractions", nargs="+", type=float, metavar="PART", help="parts of the training cases"
    )
    what.add_argument(
        "--cases", nargs="+", type=int, metavar="NUMBER", help="numbers of training cases"
    )
    what.add_argument(
        "--remove", action="store_true", help="take all label folds out, if none has results"
    )
    add("--folds", nargs="+", type=int, metavar="FOLD", help="default: 0 1 2 3 4")
    add("--repeats", type=int, default=3, help="draws of each subset (default: 3)")
    add("--seed", type=int, help="default: 0, or that of the label folds that are there")
    add(
        "--classes",
        action="store_true",
        help="draw by patients and classes of classes.csv, or by scans with and without nodules of "
        "candidates.csv, as is done anyway where there is no label to segment",
    )
    add_num_processes(parser, "labels to read at a time")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parsed(build_parser(), arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.datasets.raw import environment_folder
    from nnunetv2_pcrl.label_folds.appending import append_label_folds
    from nnunetv2_pcrl.label_folds.request import Request
    from nnunetv2_pcrl.label_folds.results import in_words, remove_label_folds
    from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder

    with exit_with_error():
        preprocessed = find_dataset_folder("nnUNet_preprocessed", args.d)
        dataset_results = environment_folder("nnUNet_results") / preprocessed.name
        if args.remove:
            print(in_words(remove_label_folds(preprocessed, dataset_results), preprocessed))
            return
        request = Request(
            fractions=tuple(args.fractions or ()),
            counts=tuple(args.cases or ()),
            folds=None if args.folds is None else tuple(args.folds),
            repeats=args.repeats,
            seed=args.seed,
            by_classes=args.classes,
        )
        appended = append_label_folds(
            preprocessed, dataset_results, request, num_processes(args.np)
        )
        _report(preprocessed.name, appended)


def _report(dataset: str, appended: "Appended") -> None:
    for line in _table_lines(appended.folds):
        print(line)
    print(
        f"\n{dataset} has {len(appended.folds)} label folds, {appended.num_new} of them new. "
        f"Train any of them, for example with:"
    )
    start = f"  nnUNetv2_train {shlex.quote(dataset)} CONFIG {appended.folds[0].fold}"
    trainer = f"PCRLv2{appended.role}Trainer"
    twin = "nnUNetTrainer" if appended.role == "Finetune" else f"{trainer}_fromScratch"
    for name in (twin, trainer):
        print(f"{start} -tr {name}")
    for warning in appended.warnings:
        print(f"WARNING: {warning}")


def _table_lines(folds: Sequence["LabelFold"]) -> list[str]:
    rows = [
        (str(f.fold), str(f.num_cases), f"{100 * f.fraction:.3g} %", str(f.of_fold), str(f.repeat))
        for f in folds
    ]
    header = ("fold", "cases", "fraction", "of fold", "repeat")
    return ["  ".join(f"{cell:>8}" for cell in row) for row in (header, *rows)]


if __name__ == "__main__":
    main()
