"""nnUNetv2_pcrl_compare: what pretraining gains over training from scratch, and how surely."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from nnunetv2_pcrl.cli.reports import exit_with_error, print_failed
from nnunetv2_pcrl.datasets.raw import environment_folder
from nnunetv2_pcrl.evaluation.amounts import Amount, amounts_of
from nnunetv2_pcrl.evaluation.comparison import Experiment, ScoresOfRuns, compare
from nnunetv2_pcrl.evaluation.convergence import CONVERGENCE, draw_convergence, read_curve
from nnunetv2_pcrl.evaluation.dice_figures import (
    CASES_AGAINST_TWIN,
    DICE_OVER_LABELS,
    draw_cases_against_twin,
    draw_dice_over_labels,
)
from nnunetv2_pcrl.evaluation.looks import looks_of, paths_of
from nnunetv2_pcrl.evaluation.markdown import write_up
from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.provenance import remarks_on
from nnunetv2_pcrl.evaluation.scores import read_dataset, read_scores
from nnunetv2_pcrl.evaluation.tables import write_cases, write_comparison
from nnunetv2_pcrl.evaluation.trainers import choose_twin, short_names, trainers_with_results
from nnunetv2_pcrl.experiments.states import weights_used
from nnunetv2_pcrl.label_folds.table import TABLE_NAME, read_label_folds
from nnunetv2_pcrl.preparation.raw_cases import find_dataset_folder
from nnunetv2_pcrl.weights.atomic import replaced_atomically

FIGURES = (DICE_OVER_LABELS, CONVERGENCE, CASES_AGAINST_TWIN)


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_compare",
        description="Tables and figures of the finished trainings on label folds: Dice and surface "
        "distances by number of labelled cases, paired differences to the from-scratch twin, label "
        "efficiency. Missing runs are listed.",
    )
    add = parser.add_argument
    add("-d", required=True, metavar="ID", help="data set, number or name")
    add("-c", required=True, metavar="CONFIGURATION", help="e.g. 3d_fullres")
    add("-p", default="nnUNetPlans", metavar="PLANS", help="plans name (default: nnUNetPlans)")
    add("--trainers", nargs="+", help="class names (default: all with results on label folds)")
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
        experiment = _find_experiment(args, dataset, preprocessed, results)
        output = args.o or results / f"comparison_{args.c}_{args.p}"
        written = _compare(experiment, preprocessed, results, output, not args.no_surface)
        print("\nWritten:")
        for path in written:
            print(f"  {path}")


def _find_experiment(
    args: argparse.Namespace, dataset: str, preprocessed: Path, results: Path
) -> Experiment:
    folds = read_label_folds(preprocessed)
    if not folds:
        raise ValueError(
            f"There is no {preprocessed / TABLE_NAME}: make label folds with "
            f"nnUNetv2_pcrl_label_folds -d {args.d}, and train on them."
        )
    amounts = _chosen(amounts_of(folds), args.cases)
    folds = [fold for amount in amounts for fold in amount.folds]
    trainers = args.trainers or trainers_with_results(results, args.p, args.c, folds)
    if not trainers:
        raise ValueError(
            f"No trainer has finished one of the {len(folds)} label folds "
            f"({folds[0].fold} to {folds[-1].fold}): there is no "
            f"{results}/TRAINER__{args.p}__{args.c}/fold_N with validation/summary.json and "
            f"checkpoint_final.pth."
        )
    twin = args.twin or choose_twin(trainers)
    # Each once, the twin first.
    trainers = tuple(dict.fromkeys([twin, *trainers]))
    return Experiment(dataset, args.p, args.c, trainers, twin, amounts)


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
    experiment: Experiment, preprocessed: Path, results: Path, output: Path, with_surfaces: bool
) -> list[Path]:
    """Reads all runs, writes all files and prints the tables; the paths written."""
    missing = experiment.missing_runs(results)
    finished = [run for run in experiment.runs() if run not in missing]
    if not finished:
        raise ValueError(
            f"None of the {len(missing)} runs of {', '.join(experiment.trainers)} on label folds "
            f"is finished: looked for {missing[0].folder(results)} and others, with "
            f"validation/summary.json and checkpoint_final.pth. Run them, for example with\n"
            f"  {experiment.command(missing[0], results)}"
        )
    dataset = read_dataset(preprocessed, experiment.plans)
    output.mkdir(parents=True, exist_ok=True)
    measured = Measured(output / "measured.json")
    scores: ScoresOfRuns = {}
    curves, without_curve = {}, {}
    try:
        for run in tqdm(finished, desc="reading runs", disable=None):
            folder = run.folder(results)
            scores[run] = read_scores(dataset, folder, run.fold, measured, with_surfaces)
            try:
                curves[run] = read_curve(folder, measured)
            except ValueError as error:
                without_curve[str(folder)] = str(error)
    finally:
        # After an error or Ctrl-C too: distances take long.
        measured.save()
    rows = compare(experiment, scores)
    commands = [experiment.command(run, results) for run in missing]
    epochs = {run: len(curve) for run, curve in curves.items() if curve}
    weights = {run: path for run in finished if (path := weights_used(run.folder(results)))}
    remarks = remarks_on(experiment, epochs, weights)
    text = write_up(experiment, rows, scores, commands, remarks)
    print(text)
    print_failed(without_curve, "runs are not in the figure of epochs")
    tables = [output / name for name in ("comparison.md", "comparison.csv", "cases.csv")]
    with replaced_atomically(tables[0]) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_comparison(tables[1], rows, experiment.twin)
    write_cases(tables[2], experiment, scores)
    for name in FIGURES:
        # An earlier picture would be taken for a new one where there is nothing to draw now.
        for path in paths_of(output, name):
            path.unlink(missing_ok=True)
    looks = looks_of(short_names(experiment.trainers), experiment.twin)
    return [
        *tables,
        *draw_dice_over_labels(experiment, rows, scores, looks, output),
        *draw_convergence(experiment, curves, looks, output),
        *draw_cases_against_twin(experiment, scores, looks, output),
    ]


if __name__ == "__main__":
    main()
