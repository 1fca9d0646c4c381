"""nnUNetv2_pcrl_convert_*: published benchmark data sets become raw data sets of nnU-Net."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error, print_bounded
from nnunetv2_pcrl.cli.num_processes import add_num_processes, num_processes
from nnunetv2_pcrl.datasets.raw import (
    DATASET_JSON,
    MANIFEST,
    NATURAL_READER,
    UNLABELLED,
    environment_folder,
    raw_folder,
    read_json,
)

if TYPE_CHECKING:
    from nnunetv2_pcrl.datasets.conversion import Benchmark, ConversionReport


def build_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Arguments that all converters have."""
    parser = argparse.ArgumentParser(prog=prog, description=f"{description} A rerun goes on.")
    add = parser.add_argument
    add("source", type=Path, help="folder of the unpacked download")
    add("--link", action="store_true", help="link files that need no change instead of copying")
    add("--skip_bad", action="store_true", help="succeed although something is missing or odd")
    add_num_processes(parser)
    return parser


def print_report(
    folder: Path, report: "ConversionReport", skip_bad: bool, subset: bool = False
) -> None:
    """Tells what was converted and what is odd, and the next command.

    Args:
        folder: the raw data set.
        report: on its conversion.
        skip_bad: succeed all the same if something is missing or odd; else the exit status is 1.
        subset: what is missing is meant to be.
    """
    print(f"\n{folder}: {report.num_training} training and {report.num_test} test cases.")
    remainder = f"All of them are in {folder / MANIFEST}."
    print_bounded(report.others, "files are not part of the benchmark and left out", remainder)
    print_bounded(report.remarks, "cases were repaired or are unusual", remainder)
    print_bounded(report.missing, "things are missing", remainder)
    print_bounded(report.odd, "things are odd and left out", remainder)
    if not skip_bad and (report.odd or (report.missing and not subset)):
        hint = "" if report.odd else " --subset if a part of the benchmark is what you want, or"
        print(f"Complete or repair these and run the command again, or give{hint} --skip_bad.")
        sys.exit(1)
    print(f"\nNext: {next_command(folder)}")


def next_command(folder: Path) -> str:
    """What plans and preprocesses a raw data set, by its labels and reader."""
    content = read_json(folder / DATASET_JSON)
    number = int(folder.name.removeprefix("Dataset").split("_")[0])
    if content["labels"] != UNLABELLED:
        return f"nnUNetv2_plan_and_preprocess -d {number}"
    is_flat = content.get("overwrite_image_reader_writer") == NATURAL_READER
    return f"nnUNetv2_pcrl_plan_and_preprocess -d {number} -c {'2d' if is_flat else '3d_fullres'}"


def _parse(
    name: str, what: str, default: str, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """Arguments of nnUNetv2_pcrl_convert_NAME.

    Args:
        name: of the command.
        what: it converts.
        default: name of the data set.
        arguments: None for those of the process.
    """
    parser = build_parser(f"nnUNetv2_pcrl_convert_{name}", f"Converts {what}.")
    parser.add_argument("-d", type=int, required=True, metavar="ID", help="number of the data set")
    parser.add_argument("--name", default=default, help=f"its name (default: {default})")
    about = "succeed although the download is a part of the benchmark"
    parser.add_argument("--subset", action="store_true", help=about)
    return parsed(parser, arguments)


def _convert(find: "Callable[[Path], Benchmark]", args: argparse.Namespace) -> None:
    # Here, so that --help is quick.
    from nnunetv2_pcrl.datasets.conversion import convert
    from nnunetv2_pcrl.datasets.layouts import others_of

    with exit_with_error():
        if not args.source.is_dir():
            raise ValueError(f"There is no folder {args.source}.")
        source = args.source.absolute()
        # A large benchmark takes a minute before the bar of its cases appears.
        print(f"Looking through {source}", flush=True)
        benchmark = find(source)
        benchmark = replace(benchmark, others=others_of(source, benchmark))
        folder = raw_folder(environment_folder("nnUNet_raw"), args.d, args.name)
        report = convert(benchmark, folder, args.link, num_processes(args.np))
        print_report(folder, report, args.skip_bad, args.subset)


def brats(arguments: Sequence[str] | None = None) -> None:
    """Command line for BraTS."""
    what = "BraTS 2018, 2020, 2021 or 2023 (adult glioma)"
    args = _parse("brats", what, "BraTS", arguments)
    from nnunetv2_pcrl.datasets.brats import find_brats

    _convert(find_brats, args)


def lits(arguments: Sequence[str] | None = None) -> None:
    """Command line for LiTS."""
    what = "LiTS 2017"
    args = _parse("lits", what, "LiTS", arguments)
    from nnunetv2_pcrl.datasets.lits import find_lits

    _convert(find_lits, args)


def luna16(arguments: Sequence[str] | None = None) -> None:
    """Command line for LUNA16."""
    what = "LUNA16: scans without labels, candidates and nodules as tables, subsets as folds"
    args = _parse("luna16", what, "LUNA16", arguments)
    from nnunetv2_pcrl.datasets.luna16 import find_luna16

    _convert(find_luna16, args)


def chest_xray14(arguments: Sequence[str] | None = None) -> None:
    """Command line for ChestX-ray14."""
    what = "NIH ChestX-ray14: findings become classes.csv, the official lists test images and folds"
    args = _parse("chest_xray14", what, "ChestXray14", arguments)
    from nnunetv2_pcrl.datasets.chest_xray14 import find_chest_xray14

    _convert(find_chest_xray14, args)


def chexpert(arguments: Sequence[str] | None = None) -> None:
    """Command line for CheXpert."""
    what = "CheXpert: its findings become classes.csv"
    args = _parse("chexpert", what, "CheXpert", arguments)
    from nnunetv2_pcrl.datasets.chexpert import find_chexpert

    _convert(find_chexpert, args)
