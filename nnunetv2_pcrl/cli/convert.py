"""nnUNetv2_pcrl_convert_*: published benchmark data sets become raw data sets of nnU-Net."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nnunetv2.configuration import default_num_processes

from nnunetv2_pcrl.cli.reports import exit_with_error, print_failed
from nnunetv2_pcrl.datasets.brats import find_brats
from nnunetv2_pcrl.datasets.chest_xray14 import find_chest_xray14
from nnunetv2_pcrl.datasets.chexpert import find_chexpert
from nnunetv2_pcrl.datasets.conversion import Benchmark, ConversionReport, convert
from nnunetv2_pcrl.datasets.lits import find_lits
from nnunetv2_pcrl.datasets.luna16 import find_luna16
from nnunetv2_pcrl.datasets.raw import environment_folder, raw_folder


def build_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Arguments that all converters have."""
    parser = argparse.ArgumentParser(prog=prog, description=f"{description} A rerun goes on.")
    add = parser.add_argument
    add("source", type=Path, help="folder of the unpacked download")
    add("--link", action="store_true", help="link files that need no change instead of copying")
    add("--skip_bad", action="store_true", help="succeed although something is missing or odd")
    add("-np", type=int, default=default_num_processes, help="processes")
    return parser


def print_report(folder: Path, report: ConversionReport, skip_bad: bool) -> None:
    """Tells what was converted and what is odd; exits with 1 for that, unless `skip_bad`."""
    print(f"\n{folder}: {report.num_training} training and {report.num_test} test cases.")
    print_failed(report.remarks, "cases were repaired or are unusual")
    print_failed(report.odd, "things are missing or left out")
    if report.odd and not skip_bad:
        print("Complete or repair these and run the command again, or give --skip_bad.")
        sys.exit(1)


def _run(
    find: Callable[[Path], Benchmark], what: str, name: str, arguments: Sequence[str] | None
) -> None:
    parser = build_parser(f"nnUNetv2_pcrl_convert_{find.__name__[5:]}", f"Converts {what}.")
    parser.add_argument("-d", type=int, required=True, metavar="ID", help="number of the data set")
    parser.add_argument("--name", default=name, help=f"its name (default: {name})")
    args = parser.parse_args(arguments)
    with exit_with_error():
        if not args.source.is_dir():
            raise ValueError(f"There is no folder {args.source}.")
        benchmark = find(args.source.absolute())
        folder = raw_folder(environment_folder("nnUNet_raw"), args.d, args.name)
        report = convert(benchmark, folder, args.link, args.np)
    print_report(folder, report, args.skip_bad)


def brats(arguments: Sequence[str] | None = None) -> None:
    """Command line for BraTS."""
    _run(find_brats, "BraTS 2018, 2020, 2021 or 2023 (adult glioma)", "BraTS", arguments)


def lits(arguments: Sequence[str] | None = None) -> None:
    """Command line for LiTS."""
    _run(find_lits, "LiTS 2017", "LiTS", arguments)


def luna16(arguments: Sequence[str] | None = None) -> None:
    """Command line for LUNA16."""
    _run(find_luna16, "LUNA16, without labels", "LUNA16", arguments)


def chest_xray14(arguments: Sequence[str] | None = None) -> None:
    """Command line for ChestX-ray14."""
    what = "NIH ChestX-ray14; its findings are kept in classes.csv"
    _run(find_chest_xray14, what, "ChestXray14", arguments)


def chexpert(arguments: Sequence[str] | None = None) -> None:
    """Command line for CheXpert."""
    _run(find_chexpert, "CheXpert; its findings are kept in classes.csv", "CheXpert", arguments)
