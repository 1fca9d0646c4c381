"""What was measured so far, as results.csv: means over draws, and differences to scratch.

python results/classification/table.py
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from runs import (
    ARMS,
    DATASETS,
    FINETUNING,
    PROBE,
    SCRATCH,
    Run,
    grid,
    score,
    table_of,
    validation_cases,
)

from nnunetv2_pcrl.evaluation.statistics import t_interval

NUM_RESAMPLES = 1000
COLUMNS = (
    "data",
    "kind",
    "labels",
    "arm",
    "draws",
    "auroc",
    "lowest",
    "highest",
    "difference",
    "over_draws_low",
    "over_draws_high",
    "over_patients_low",
    "over_patients_high",
    "better_draws",
)


def read(path: Path) -> dict[str, float]:
    """Predictions by case."""
    with open(path, newline="", encoding="utf-8") as file:
        return {line[0]: float(line[1]) for line in list(csv.reader(file))[1:]}


def patient_weights(dataset: str) -> np.ndarray:
    """How often each validation case is drawn in bootstrap samples of patients, shape [R, N]."""
    patients = table_of(dataset).of(validation_cases(dataset)).patients
    names, of_case = np.unique(patients, return_inverse=True)
    generator = np.random.default_rng(0)
    draws = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), NUM_RESAMPLES)
    return draws[:, of_case]


def rows() -> Iterator[dict]:
    """One row for every arm of every cell of the grid of which there is something."""
    for dataset in DATASETS:
        weights = patient_weights(dataset)
        for kind in (PROBE, FINETUNING):
            runs = [r for r in grid(kind) if r.dataset == dataset and r.predictions.is_file()]
            for num_labels in sorted({run.label_fold.num_cases for run in runs}):
                cell = [run for run in runs if run.label_fold.num_cases == num_labels]
                yield from rows_of_cell(dataset, kind, num_labels, cell, weights)


def rows_of_cell(
    dataset: str, kind: str, num_labels: int, cell: list[Run], weights: np.ndarray
) -> Iterator[dict]:
    """Rows of all arms; differences are paired by draw, and within a draw by case."""
    by_arm: dict[str, dict[int, dict[str, float]]] = {}
    for run in cell:
        by_arm.setdefault(run.arm, {})[run.label_fold.repeat] = read(run.predictions)
    for arm in ARMS:
        draws = by_arm.get(arm, {})
        if not draws:
            continue
        values = [float(score(dataset, predicted)[0]) for predicted in draws.values()]
        row = {
            "data": dataset,
            "kind": kind,
            "labels": num_labels,
            "arm": arm,
            "draws": len(draws),
            "auroc": f"{np.mean(values):.3f}",
            "lowest": f"{min(values):.3f}",
            "highest": f"{max(values):.3f}",
        }
        shared = sorted(draws.keys() & by_arm.get(SCRATCH, {}).keys())
        if arm != SCRATCH and shared:
            row |= difference(
                dataset, [(draws[draw], by_arm[SCRATCH][draw]) for draw in shared], weights
            )
        yield row


def difference(
    dataset: str, pairs: list[tuple[dict[str, float], dict[str, float]]], weights: np.ndarray
) -> dict[str, str]:
    """Mean difference, its t-interval over the draws, its bootstrap interval over the patients.

    Args:
        dataset: NIH or LUNA.
        pairs: predictions of an arm and of scratch, of every draw.
        weights: of the validation cases, shape [R, N].
    """
    points = np.array([float((score(dataset, a) - score(dataset, b))[0]) for a, b in pairs])
    resampled = np.mean(
        [score(dataset, a, weights) - score(dataset, b, weights) for a, b in pairs], axis=0
    )
    # Equal draws, as of a probe with all labels, say nothing of how much draws differ.
    differ = len(points) > 1 and np.ptp(points) > 0
    over_draws = t_interval(points) if differ else (np.nan, np.nan)
    over_patients = np.nanpercentile(resampled, (2.5, 97.5))
    limits = {
        f"over_{name}_{end}": "" if np.isnan(value) else f"{value:.3f}"
        for name, pair in (("draws", over_draws), ("patients", over_patients))
        for end, value in zip(("low", "high"), pair, strict=True)
    }
    better = f"{int((points > 0).sum())} of {len(points)}"
    return {"difference": f"{points.mean():.3f}", **limits, "better_draws": better}


def main() -> None:
    """Command line."""
    with open(Path(__file__).with_name("results.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows())


if __name__ == "__main__":
    main()
