"""comparison.csv and cases.csv: all numbers, one row each."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.evaluation.comparison import (
    Comparison,
    Row,
    ScoresOfRuns,
    labels_by_metric,
)
from nnunetv2_pcrl.weights.atomic import replaced_atomically

COMPARISON_COLUMNS = (
    "trainer",
    "cases",
    "fraction",
    "label",
    "metric",
    "runs",
    "runs_planned",
    "validation_cases",
    "mean",
    "run_std",
    "num_absent",
    "num_without_distance",
    "twin",
    "difference",
    "difference_case_low",
    "difference_case_high",
    "wilcoxon_p",
    "wilcoxon_p_holm",
    "paired_cases",
    "run_difference",
    "run_difference_low",
    "run_difference_high",
    "run_p",
    "run_p_holm",
    "run_difference_detectable",
    "paired_runs",
    "same_seed_runs",
    "runs_better",
    "twin_cases_for_same",
    "label_efficiency",
    "label_efficiency_bound",
    "label_efficiency_low",
    "label_efficiency_low_bound",
    "label_efficiency_high",
    "label_efficiency_high_bound",
    "epochs_to_twin_end",
    "runs_that_reach_twin_end",
)


def write_data_sets(path: Path, rows: Iterable[tuple[Comparison, Row]]) -> None:
    """The rows of several data sets as `write_comparison` writes them, each with its data set."""
    columns = ("data_set", *COMPARISON_COLUMNS)
    _write(path, columns, ([c.dataset, *_comparison_row(row, c.twin)] for c, row in rows))


def write_comparison(path: Path, rows: Iterable[Row], twin: str) -> None:
    """One row per trainer, number of labelled cases, label and metric.

    `num_absent` counts values of single runs and cases that do not exist because the label is in
    neither reference nor prediction, `num_without_distance` those of which one of both is empty.
    """
    _write(path, COMPARISON_COLUMNS, (_comparison_row(row, twin) for row in rows))


def _comparison_row(row: Row, twin: str) -> list[Any]:
    folds, found = row.amount.folds, row.spread
    cells = [
        row.trainer,
        row.amount.num_cases,
        sum(fold.fraction for fold in folds) / len(folds),
        row.label,
        row.metric.key,
        found.num_runs,
        row.planned_runs,
        found.num_cases,
        found.mean,
        found.run_std,
        found.num_nan,
        found.num_infinite,
        twin,
    ]
    if row.difference is None:
        cells += [None] * 15
    else:
        paired = row.difference
        cells += [
            paired.mean,
            *paired.case_interval,
            paired.p_value,
            row.holm_p,
            paired.num_cases,
            paired.run_mean,
            *paired.run_interval,
            paired.run_p_value,
            row.run_holm_p,
            paired.detectable,
            paired.num_runs,
            paired.num_same_seed,
            paired.num_better,
        ]
    if row.efficiency is None:
        cells += [None] * 3
    else:
        cells += [row.efficiency.twin_cases, row.efficiency.factor, row.efficiency.bound]
    if row.efficiency_interval is None:
        cells += [None] * 4
    else:
        cells += [value for end in row.efficiency_interval for value in (end.factor, end.bound)]
    return cells + ([None] * 2 if row.pace is None else [row.pace.epochs, row.pace.num_reached])


def write_cases(path: Path, comparison: Comparison, scores: ScoresOfRuns) -> None:
    """One row per run and validation case; columns METRIC LABEL.

    Empty where the label is in neither reference nor prediction; inf where there is no distance
    because one of both is empty.
    """
    columns = [(m, label) for m, labels in labels_by_metric(scores).items() for label in labels]
    header = ["trainer", "cases", "fold", "of_fold", "repeat", "seed", "case"]
    header += [f"{metric.key} {label}" for metric, label in columns]
    rows = []
    for amount in comparison.amounts:
        for fold in amount.folds:
            for trainer in comparison.trainers:
                for (_, seed), run in comparison.runs_of(trainer, fold.fold).items():
                    if run not in scores:
                        continue
                    start = [trainer, fold.num_cases, fold.fold, fold.of_fold, fold.repeat, seed]
                    measured = [scores[run][metric][label] for metric, label in columns]
                    # What exists for all cases together has a row of its own.
                    for case in dict.fromkeys(case for values in measured for case in values):
                        cells = [values.get(case) for values in measured]
                        rows.append([*start, case, *cells])
    _write(path, header, rows)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with (
        replaced_atomically(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else value
