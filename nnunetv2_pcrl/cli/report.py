"""nnUNetv2_pcrl_report: makes the report of a run again, or one of several runs side by side."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_report",
        description="Writes a report of a training by this package, finished or in progress: one "
        "HTML file that needs no network. Several folders are shown side by side.",
    )
    parser.add_argument(
        "folders",
        metavar="RESULTS_FOLDER",
        nargs="+",
        type=Path,
        help="result folder of a fold, or one that holds such folders",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the file to write (default: report.html in the folder of the run, or in the "
        "current folder for several runs)",
    )
    parser.add_argument(
        "--figures",
        nargs="+",
        choices=("png", "svg", "pdf"),
        default=[],
        help="also draw progress and pictures in these formats, beside the report (for "
        "several runs: in the folder of each)",
    )
    args = parsed(parser, arguments)
    # Matplotlib and PyTorch take seconds to import, and --help needs none of them.
    from nnunetv2_pcrl.monitoring.result_folders import report_on

    with exit_with_error():
        for path in report_on(args.folders, args.output, args.figures):
            print(path)


if __name__ == "__main__":
    main()
