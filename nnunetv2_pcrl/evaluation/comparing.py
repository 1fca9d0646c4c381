"""Reads all runs of a comparison and writes all its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from nnunetv2_pcrl.evaluation.cases_against_twin import (
    CASES_AGAINST_TWIN,
    draw_cases_against_twin,
)
from nnunetv2_pcrl.evaluation.choice import choose_cases
from nnunetv2_pcrl.evaluation.comparison import (
    Comparison,
    Row,
    ScoresOfRuns,
    compare,
    first_metric,
    without_empty_metrics,
)
from nnunetv2_pcrl.evaluation.convergence import (
    Curves,
    convergence_name,
    draw_convergence,
    read_curve,
    with_pace,
)
from nnunetv2_pcrl.evaluation.markdown import as_markdown
from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.origin import read_origin
from nnunetv2_pcrl.evaluation.over_labels import draw_over_labels, over_labels_name
from nnunetv2_pcrl.evaluation.page import Picture, as_page
from nnunetv2_pcrl.evaluation.provenance import provenance_remarks, weights_for
from nnunetv2_pcrl.evaluation.reader import SummaryReader
from nnunetv2_pcrl.evaluation.readers import reader_of
from nnunetv2_pcrl.evaluation.tables import write_cases, write_comparison
from nnunetv2_pcrl.evaluation.trainers import short_names
from nnunetv2_pcrl.evaluation.write_up import WriteUp, write_up
from nnunetv2_pcrl.experiments.runs import SUMMARY, TrainingRun
from nnunetv2_pcrl.monitoring.looks import looks_of, paths_of
from nnunetv2_pcrl.weights.atomic import replaced_atomically

CASE_PICTURES = "cases_with_{}_labels.png"


@dataclass(frozen=True)
class Outcome:
    """What a comparison has written.

    Attributes:
        comparison: what was compared.
        rows: as `compare` makes them.
        content: what comparison.md says.
        paths: of all files.
        without_curve: why runs are not in the figure of epochs, by result folder.
        without_picture: why pictures of cases are missing, by number of labels.
    """

    comparison: Comparison
    rows: tuple[Row, ...]
    content: WriteUp
    paths: tuple[Path, ...]
    without_curve: dict[str, str]
    without_picture: dict[str, str]

    @property
    def text(self) -> str:
        """Of comparison.md."""
        return as_markdown(self.content)


def write_comparison_files(
    comparison: Comparison,
    preprocessed: Path,
    dataset_results: Path,
    output: Path,
    with_surfaces: bool = True,
) -> Outcome:
    """Measures, compares, draws and writes everything.

    Args:
        comparison: what is compared.
        preprocessed: folder of the data set in nnUNet_preprocessed.
        dataset_results: its folder in nnUNet_results.
        output: folder to write into.
        with_surfaces: whether to compute surface distances.

    Raises:
        ValueError: if no run is finished, or one cannot be compared.
    """
    missing = comparison.missing_runs(dataset_results)
    finished = [run for run in comparison.runs() if run not in missing]
    if not finished:
        raise ValueError(
            f"None of the {len(missing)} runs of {', '.join(comparison.trainers)} on label folds "
            f"is finished: looked for {missing[0].folder(dataset_results)} and others, with "
            f"validation/summary.json and checkpoint_final.pth. Run them, for example with\n"
            f"  {comparison.command(missing[0], dataset_results)}"
        )
    reader = reader_of(finished[0].folder(dataset_results) / SUMMARY).of_dataset(
        preprocessed, comparison.plans, with_surfaces
    )
    output.mkdir(parents=True, exist_ok=True)
    scores, curves, without_curve = _read(reader, finished, dataset_results, output)
    rows = with_pace(compare(comparison, scores), comparison, curves, first_metric(scores))
    origins = {
        run: read_origin(run.folder(dataset_results), len(curves.get(run, ())) or None)
        for run in finished
    }
    commands = [
        comparison.command(run, dataset_results, weights_for(run, comparison, origins))
        for run in missing
    ]
    remarks = provenance_remarks(comparison, origins)
    content = write_up(comparison, rows, scores, commands, remarks)
    names = ("comparison.md", "comparison.html", "comparison.csv", "cases.csv")
    markdown, page, table, cases = (output / name for name in names)
    write_text(markdown, as_markdown(content))
    write_comparison(table, rows, comparison.twin)
    write_cases(cases, comparison, scores)
    figures = _draw_figures(comparison, reader, rows, scores, curves, output)
    pictures, without_picture = _draw_cases(comparison, reader, scores, dataset_results, output)
    write_text(page, as_page(content, [*_shown(comparison, reader, scores, figures), *pictures]))
    paths = (markdown, page, table, cases, *figures, *(picture.path for picture in pictures))
    return Outcome(comparison, tuple(rows), content, paths, without_curve, without_picture)


def _read(
    reader: SummaryReader, runs: Sequence[TrainingRun], dataset_results: Path, output: Path
) -> tuple[ScoresOfRuns, Curves, dict[str, str]]:
    """Scores and curves by run, and why curves are missing."""
    measured = Measured(output / "measured.json")
    scores, curves, without_curve = {}, {}, {}
    try:
        for run in tqdm(runs, desc="reading runs", disable=None):
            folder = run.folder(dataset_results)
            scores[run] = reader.scores(folder, run.fold, measured)
            try:
                curves[run] = read_curve(folder, reader.curve, measured)
            except ValueError as error:
                without_curve[str(folder)] = str(error)
    finally:
        # After an error or Ctrl-C too: distances take long.
        measured.save()
    return without_empty_metrics(scores), curves, without_curve


def write_text(path: Path, text: str) -> None:
    """Writes a file that is either the old one or the new one."""
    with replaced_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _draw_figures(
    comparison: Comparison,
    reader: SummaryReader,
    rows: Sequence[Row],
    scores: ScoresOfRuns,
    curves: Curves,
    output: Path,
) -> list[Path]:
    """The paths written."""
    metric = first_metric(scores)
    for name in (over_labels_name(metric), convergence_name(metric), CASES_AGAINST_TWIN):
        # An earlier picture would be taken for a new one where there is nothing to draw now.
        for path in paths_of(output, name):
            path.unlink(missing_ok=True)
    looks = looks_of(short_names(comparison.trainers), comparison.twin)
    return [
        *draw_over_labels(comparison, rows, scores, looks, output),
        *draw_convergence(comparison, curves, reader.curve, metric, looks, output),
        *draw_cases_against_twin(comparison, scores, looks, output),
    ]


def _shown(
    comparison: Comparison, reader: SummaryReader, scores: ScoresOfRuns, figures: Sequence[Path]
) -> list[Picture]:
    """The figures as they stand on the page, which needs only one format of each."""
    metric = first_metric(scores)
    titles = {
        over_labels_name(metric): f"{metric.name} over number of labels",
        convergence_name(metric): f"{reader.curve.title} over epochs",
        CASES_AGAINST_TWIN: f"{metric.name} case by case",
    }
    return [
        Picture(titles[path.stem], path, f"{titles[path.stem]} of {comparison.dataset}")
        for path in figures
        if path.suffix == ".svg"
    ]


def _draw_cases(
    comparison: Comparison,
    reader: SummaryReader,
    scores: ScoresOfRuns,
    dataset_results: Path,
    output: Path,
) -> tuple[list[Picture], dict[str, str]]:
    """Pictures of cases, one per number of labels, and why some are missing."""
    for path in output.glob(CASE_PICTURES.format("*")):
        path.unlink()
    pictures, failed = [], {}
    for amount in tqdm(comparison.amounts, desc="drawing cases", disable=None):
        chosen = choose_cases(comparison, scores, amount)
        if chosen is None:
            continue
        path = output / CASE_PICTURES.format(amount)
        try:
            if reader.draw_cases(comparison, chosen, dataset_results, path):
                title = f"Cases, with {amount} labelled cases"
                text = f"{', '.join(chosen.cases)}: image, reference and predictions"
                pictures.append(Picture(title, path, text))
        # Readers have errors of their own, and everything else is written.
        except Exception as error:
            failed[f"{amount} labelled cases"] = f"{type(error).__name__}: {error}"
    return pictures, failed
