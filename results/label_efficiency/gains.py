"""The trainings of this folder, and what each arm gained over the twin."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TWIN = "from scratch"
BALANCE = "A (results/balance)"
# By the name of its folder of `run.sh`: A and B are of a fold each, C has plans of its own.
STAGES = {
    "untouched_5": "A",
    "tuned_5": "A",
    "stage_b": "B",
    "cases_20": "B",
    "all_labels": "B",
    "whole_2d": "C",
    "whole_3d": "C",
    "pool": "pool",
}
BALANCE_ARMS = {
    "twin": TWIN,
    "w1_sgd0.01": "PCRLv2",
    **{f"{name}_encoder": name for name in ("MAE", "ModelsGenesis", "SimCLR", "VoCo")},
}


def short_stage(stage: str) -> str:
    """Without where its numbers lie."""
    return stage.split()[0]


@dataclass(frozen=True)
class Run:
    """One fine-tuning's means over its validation cases."""

    stage: str
    data: str
    cases: int
    arm: str
    draw: int
    dice: float
    hd95: float

    @property
    def cell(self) -> tuple[str, str, int]:
        """Whose arms share draws."""
        return self.stage, self.data, self.cases

    @property
    def key(self) -> tuple:
        """What no other run has in common with it."""
        return self.cell, self.arm, self.draw

    def row(self) -> tuple[str, ...]:
        """Of the CSV."""
        numbers = (f"{self.dice:.4f}", "" if math.isnan(self.hd95) else f"{self.hd95:.3f}")
        return self.stage, self.data, str(self.cases), self.arm, str(self.draw), *numbers


def arm_of(trainer: str) -> str:
    """An arm's name from its trainer's."""
    return TWIN if "_fromScratch" in trainer else trainer.split("FinetuneTrainer")[0]


def compared(folder: Path) -> Iterator[Run]:
    """Runs of all comparisons in a folder of `run.sh`."""
    for path in sorted(folder.glob("*/Dataset*/cases.csv")):
        stage, data = STAGES.get(path.parts[-3]), path.parts[-2].split("_", 1)[1]
        if stage is None:
            continue
        values: dict[tuple, list[tuple[float, float]]] = defaultdict(list)
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = int(row["cases"]), arm_of(row["trainer"]), int(row["repeat"])
                numbers = (float(row[name] or "nan") for name in ("dice mean", "hd95_mm mean"))
                values[key].append(tuple(numbers))
        for key, pairs in values.items():
            dice, hd95 = (mean_of_finite(pair[place] for pair in pairs) for place in (0, 1))
            yield Run(stage, data, *key, dice, hd95)


def mean_of_finite(values: Iterable[float]) -> float:
    """NaN where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def of_balance(path: Path) -> Iterator[Run]:
    """The runs of results/balance, which have no distances."""
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (arm := BALANCE_ARMS.get(row["arm"])) is not None:
                draw, dice = int(row["draw"]), float(row["Dice"])
                yield Run(BALANCE, row["data set"], 5, arm, draw, dice, math.nan)


def of_file(path: Path) -> Iterator[Run]:
    """The runs of runs.csv."""
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            numbers = float(row["Dice"]), float(row["HD95"] or "nan")
            draw = int(row["draw"])
            yield Run(row["stage"], row["data set"], int(row["cases"]), row["arm"], draw, *numbers)


class Gains:
    """Differences to the twin by cell, arm and draw."""

    def __init__(self, runs: Iterable[Run]):
        self._runs = {run.key: run for run in runs}
        self.cells = sorted({cell for cell, _, _ in self._runs})

    def arms(self, cell: tuple) -> list[str]:
        """Those of a cell, the twin left out."""
        return sorted({arm for of, arm, _ in self._runs if of == cell and arm != TWIN})

    def runs(self, cell: tuple, arm: str) -> list[Run]:
        """In the order of the draws."""
        found = (run for (of, name, _), run in self._runs.items() if (of, name) == (cell, arm))
        return sorted(found, key=lambda run: run.draw)

    def differences(self, cell: tuple, arm: str, number: str = "dice") -> np.ndarray:
        """Of the draws that both have a number of."""
        pairs = [(run, self._runs.get((cell, TWIN, run.draw))) for run in self.runs(cell, arm)]
        found = [getattr(a, number) - getattr(b, number) for a, b in pairs if b is not None]
        return np.array([value for value in found if math.isfinite(value)])
