"""What was measured so far: means over draws, and differences to scratch.

python results/classification/table.py      writes results.csv and results.md beside itself
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
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


def markdown(measured: Sequence[Mapping[str, str]]) -> str:
    """One line for every cell of the grid, one column for every arm."""
    lines = [
        f"| data | kind | labels | draws | {' | '.join(ARMS)} |",
        f"|---|---|---|---|{'---|' * len(ARMS)}",
    ]
    cells = dict.fromkeys((row["data"], row["kind"], row["labels"]) for row in measured)
    for cell in cells:
        by_arm = {
            row["arm"]: row for row in measured if (row["data"], row["kind"], row["labels"]) == cell
        }
        draws = "/".join(str(by_arm[arm]["draws"]) if arm in by_arm else "0" for arm in ARMS)
        texts = [_in_words(by_arm[arm]) if arm in by_arm else "" for arm in ARMS]
        lines.append(f"| {' | '.join(map(str, cell))} | {draws} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def _in_words(row: Mapping[str, str]) -> str:
    """AUROC, and the difference with both intervals."""
    if "difference" not in row:
        return row["auroc"]
    draws, patients = (
        f"{row[f'over_{name}_low']} to {row[f'over_{name}_high']}" for name in ("draws", "patients")
    )
    draws = draws if row["over_draws_low"] else "none"
    return f"{row['auroc']} ({float(row['difference']):+.3f}; {draws}; {patients})"


def main() -> None:
    """Command line."""
    measured = list(rows())
    folder = Path(__file__).parent
    with open(folder / "results.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(measured)
    (folder / "results.md").write_text(markdown(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
