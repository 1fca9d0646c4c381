"""Reports and figures made again from result folders."""

from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.monitoring.panels import PANELS_NAME, read_panels
from nnunetv2_pcrl.monitoring.pictures_figure import draw_pictures
from nnunetv2_pcrl.monitoring.progress_figure import draw_progress
from nnunetv2_pcrl.monitoring.record import RECORD_NAME
from nnunetv2_pcrl.monitoring.report import REPORT_NAME, write_report
from nnunetv2_pcrl.monitoring.runs import RecordedRun, read_runs


def report_on(
    folders: Sequence[Path], output: Path | None = None, formats: Sequence[str] = ()
) -> list[Path]:
    """Writes a report of one run, or of several side by side, and figures in further formats.

    Args:
        folders: result folders, or folders that hold some.
        output: of the report; by default in the folder of the run, or in the current folder for
            several.
        formats: of figures beside each run's record: png, svg, pdf.

    Returns:
        What was written, the report last.

    Raises:
        ValueError: if a folder holds no run.
    """
    runs = read_runs(find_runs(folders))
    written = [path for run in runs for path in _draw(run, formats)]
    output = output or (runs[0].folder if len(runs) == 1 else Path()) / REPORT_NAME
    write_report(runs, output)
    return [*written, output]


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
