"""nnUNetv2_pcrl_compare: what pretraining gains over training from scratch, and how surely."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from nnunetv2_pcrl.cli.reports import exit_with_error, print_failed
from nnunetv2_pcrl.datasets.raw import environment_folder
from nnunetv2_pcrl.evaluation.amounts import Amount, amounts_of
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
)
from nnunetv2_pcrl.evaluation.convergence import (
    Curves,
    convergence_name,
    draw_convergence,
    read_curve,
)
from nnunetv2_pcrl.evaluation.looks import looks_of, paths_of
from nnunetv2_pcrl.evaluation.markdown import as_markdown
from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.over_labels import draw_over_labels, over_labels_name
from nnunetv2_pcrl.evaluation.page import Picture, as_page
from nnunetv2_pcrl.evaluation.provenance import provenance_remarks
from nnunetv2_pcrl.evaluation.reader import SummaryReader
from nnunetv2_pcrl.evaluation.readers import reader_of
from nnunetv2_pcrl.evaluation.tables import write_cases, write_comparison
from nnunetv2_pcrl.evaluation.trainers import (
    choose_twin,
    seeded_runs,
    short_names,
    trainers_with_results,
)
from nnunetv2_pcrl.evaluation.write_up import write_up
from nnunetv2_pcrl.experiments.runs import SUMMARY
from nnunetv2_pcrl.experiments.seeds import split_seed
from nnunetv2_pcrl.experiments.states import weights_used
from nnunetv2_pcrl.label_folds.table import TABLE_NAME, read_label_folds
from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder
from nnunetv2_pcrl.weights.atomic import replaced_atomically

CASE_PICTURES = "cases_with_{}_labels.png"


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
    with exit_with_error():
        preprocessed = find_dataset_folder("nnUNet_preprocessed", args.d)
        dataset = preprocessed.name
        results = environment_folder("nnUNet_results") / dataset
        comparison = _find_experiment(args, dataset, preprocessed, results)
        output = args.o or results / f"comparison_{args.c}_{args.p}"
        written = _compare(comparison, preprocessed, results, output, not args.no_surface)
        print("\nWritten:")
        for path in written:
            print(f"  {path}")


def _find_experiment(
    args: argparse.Namespace, dataset: str, preprocessed: Path, results: Path
) -> Comparison:
    folds = read_label_folds(preprocessed)
    if not folds:
        raise ValueError(
            f"There is no {preprocessed / TABLE_NAME}: make label folds with "
            f"nnUNetv2_pcrl_label_folds -d {args.d}, and train on them."
        )
    amounts = _chosen(amounts_of(folds), args.cases)
    folds = [fold for amount in amounts for fold in amount.folds]
    trainers = [split_seed(name)[0] for name in args.trainers or ()]
    trainers = trainers or trainers_with_results(results, args.p, args.c, folds)
    if not trainers:
        raise ValueError(
            f"No trainer has finished one of the {len(folds)} label folds "
            f"({folds[0].fold} to {folds[-1].fold}): there is no "
            f"{results}/TRAINER__{args.p}__{args.c}/fold_N with validation/summary.json and "
            f"checkpoint_final.pth."
        )
    twin = split_seed(args.twin)[0] if args.twin else choose_twin(trainers)
    # Each once, the twin first.
    trainers = tuple(dict.fromkeys([twin, *trainers]))
    seeded = seeded_runs(results, args.p, args.c, trainers, folds)
    return Comparison(dataset, args.p, args.c, trainers, twin, amounts, seeded)


def _chosen(amounts: Sequence[Amount], cases: Sequence[int] | None) -> tuple[Amount, ...]:
    if cases is None:
        return tuple(amounts)
    sizes = {amount: {fold.num_cases for fold in amount.folds} for amount in amounts}
    unknown = set(cases) - set().union(*sizes.values())
    if unknown:
        raise ValueError(
            f"There are no label folds with {', '.join(map(str, sorted(unknown)))} cases, only "
            f"with {', '.join(map(str, amounts))}."
        )
    return tuple(amount for amount in amounts if sizes[amount] & set(cases))


def _compare(
    comparison: Comparison, preprocessed: Path, results: Path, output: Path, with_surfaces: bool
) -> list[Path]:
    """Reads all runs, writes all files and prints the tables; the paths written."""
    missing = comparison.missing_runs(results)
    finished = [run for run in comparison.runs() if run not in missing]
    if not finished:
        raise ValueError(
            f"None of the {len(missing)} runs of {', '.join(comparison.trainers)} on label folds "
            f"is finished: looked for {missing[0].folder(results)} and others, with "
            f"validation/summary.json and checkpoint_final.pth. Run them, for example with\n"
            f"  {comparison.command(missing[0], results)}"
        )
    reader = reader_of(finished[0].folder(results) / SUMMARY).of_dataset(
        preprocessed, comparison.plans, with_surfaces
    )
    output.mkdir(parents=True, exist_ok=True)
    measured = Measured(output / "measured.json")
    scores: ScoresOfRuns = {}
    curves, without_curve = {}, {}
    try:
        for run in tqdm(finished, desc="reading runs", disable=None):
            folder = run.folder(results)
            scores[run] = reader.scores(folder, run.fold, measured)
            try:
                curves[run] = read_curve(folder, reader.curve, measured)
            except ValueError as error:
                without_curve[str(folder)] = str(error)
    finally:
        # After an error or Ctrl-C too: distances take long.
        measured.save()
    rows = compare(comparison, scores)
    commands = [comparison.command(run, results) for run in missing]
    epochs = {run: len(curve) for run, curve in curves.items() if curve}
    weights = {run: path for run in finished if (path := weights_used(run.folder(results)))}
    remarks = provenance_remarks(comparison, epochs, weights)
    content = write_up(comparison, rows, scores, commands, remarks)
    text = as_markdown(content)
    print(text)
    print_failed(without_curve, "runs are not in the figure of epochs")
    names = ("comparison.md", "comparison.csv", "cases.csv", "comparison.html")
    markdown, table, cases, page = (output / name for name in names)
    _write(markdown, text)
    write_comparison(table, rows, comparison.twin)
    write_cases(cases, comparison, scores)
    figures = _draw_figures(comparison, reader, rows, scores, curves, output)
    pictures = _draw_cases(comparison, reader, scores, results, output)
    metric = first_metric(scores)
    titles = {
        over_labels_name(metric): f"{metric.name} over number of labels",
        convergence_name(metric): f"{reader.curve.title} over epochs",
        CASES_AGAINST_TWIN: f"{metric.name} case by case",
    }
    shown = [
        Picture(titles[path.stem], path, f"{titles[path.stem]} of {comparison.dataset}")
        for path in figures
        if path.suffix == ".svg"
    ]
    _write(page, as_page(content, [*shown, *pictures]))
    return [markdown, page, table, cases, *figures, *(picture.path for picture in pictures)]


def _write(path: Path, text: str) -> None:
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


def _draw_cases(
    comparison: Comparison,
    reader: SummaryReader,
    scores: ScoresOfRuns,
    results: Path,
    output: Path,
) -> list[Picture]:
    """Pictures of cases, one per number of labels; what cannot be drawn is said and left out."""
    for path in output.glob(CASE_PICTURES.format("*")):
        path.unlink()
    pictures, failed = [], {}
    for amount in tqdm(comparison.amounts, desc="drawing cases", disable=None):
        chosen = choose_cases(comparison, scores, amount)
        if chosen is None:
            continue
        path = output / CASE_PICTURES.format(amount)
        try:
            if reader.draw_cases(comparison, chosen, results, path):
                title = f"Cases, with {amount} labelled cases"
                text = f"{', '.join(chosen.cases)}: image, reference and predictions"
                pictures.append(Picture(title, path, text))
        except (ValueError, OSError) as error:
            failed[f"{amount} labelled cases"] = str(error)
    print_failed(failed, "pictures of cases are missing")
    return pictures


if __name__ == "__main__":
    main()
