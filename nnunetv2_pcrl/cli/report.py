"""nnUNetv2_pcrl_report: makes the report of a run again, or one of several runs side by side."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.monitoring.panels import PANELS_NAME, read_panels
from nnunetv2_pcrl.monitoring.pictures_figure import draw_pictures
from nnunetv2_pcrl.monitoring.progress_figure import draw_progress
from nnunetv2_pcrl.monitoring.record import RECORD_NAME
from nnunetv2_pcrl.monitoring.report import REPORT_NAME, write_report
from nnunetv2_pcrl.monitoring.runs import RecordedRun, read_runs


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
        help=f"the file to write (default: {REPORT_NAME} in the folder of the run, or in the "
        f"current folder for several runs)",
    )
    parser.add_argument(
        "--figures",
        nargs="+",
        choices=("png", "svg", "pdf"),
        default=[],
        help="also draw progress and pictures in these formats, beside the report (for "
        "several runs: in the folder of each)",
    )
    args = parser.parse_args(arguments)
    try:
        runs = read_runs(find_runs(args.folders))
        for run in runs:
            for path in _draw(run, args.figures):
                print(path)
        output = args.output or (runs[0].folder if len(runs) == 1 else Path()) / REPORT_NAME
        write_report(runs, output)
        print(output)
    except ValueError as error:
        parser.exit(1, f"{error}\n")


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Result folders with a record, below the given ones.

    Raises:
        ValueError: if one of them holds none.
    """
    found = []
    for folder in folders:
        records = sorted(folder.rglob(RECORD_NAME)) if folder.is_dir() else []
        # Earlier results of the same folder are asked for by their own name only.
        runs = [r.parent for r in records if "previous_" not in r.relative_to(folder).as_posix()]
        if not runs:
            raise ValueError(
                f"There is no {RECORD_NAME} in {folder} or below: is it the result folder of a "
                f"training by this package, whose first epoch is over?"
            )
        found += [run for run in runs if run not in found]
    return found


def _draw(run: RecordedRun, formats: Sequence[str]) -> list[Path]:
    """Draws the figures of a run; the paths of what was written."""
    written = []
    plots = run.plots
    for name in formats:
        if plots:
            written.append(run.folder / f"progress.{name}")
            about = run.record["run"]
            draw_progress(plots, written[-1], f"{about['trainer']} on {about['data set']}")
        if (run.folder / PANELS_NAME).is_file():
            written.append(run.folder / f"pictures.{name}")
            draw_pictures(*read_panels(run.folder), written[-1])
    return written


if __name__ == "__main__":
    main()
