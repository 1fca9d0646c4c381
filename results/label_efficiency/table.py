"""Tables and a figure of all trainings of this folder, and whether a probe told the gain.

    python results/label_efficiency/table.py [FOLDER]

Reads the comparisons that `run.sh` left in FOLDER and writes their runs to runs.csv; without FOLDER
that file is read. With it, ../balance/dice.csv (Hippocampus and ACDC) and probes.csv, it writes
gains.md, summary.md, gains.svg and predictors.md.
"""

import csv
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from scipy import stats

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from nnunetv2_pcrl.evaluation.statistics import detectable_mean, holm, t_interval

HERE = Path(__file__).resolve().parent
TWIN = "from scratch"
BALANCE = "A (results/balance)"
# Of the stages that a folder of `run.sh` is called by.
STAGES = {"untouched_5": "A", "tuned_5": "A", "cases_20": "A", "stage_b": "B", "all_labels": "all"}
BALANCE_ARMS = {
    "twin": TWIN,
    "w1_sgd0.01": "PCRLv2",
    **{f"{name}_encoder": name for name in ("MAE", "ModelsGenesis", "SimCLR", "VoCo")},
}
COLUMNS = ("stage", "data set", "cases", "arm", "draw", "Dice", "HD95")
GAIN_COLUMNS = (
    "stage",
    "data set",
    "cases",
    "arm",
    "draws",
    "Dice",
    "difference",
    "95 %",
    "detectable",
    "p (Holm)",
    "better in",
    "HD95 difference",
)


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
        self._runs = {(run.cell, run.arm, run.draw): run for run in runs}
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

    def rows(self) -> Iterator[dict[str, str]]:
        """Every arm of every cell."""
        for cell in self.cells:
            head = dict(zip(GAIN_COLUMNS, map(str, cell), strict=False))
            twins = self.runs(cell, TWIN)
            dice = np.mean([run.dice for run in twins])
            yield {**head, "arm": TWIN, "draws": str(len(twins)), "Dice": f"{dice:.3f}"}
            arms = [arm for arm in self.arms(cell) if len(self.differences(cell, arm)) > 1]
            p_values = [float(stats.ttest_1samp(self.differences(cell, a), 0).pvalue) for a in arms]
            for arm, p in zip(arms, holm(p_values), strict=True):
                found = self.differences(cell, arm)
                low, high = t_interval(found)
                distances = self.differences(cell, arm, "hd95")
                yield {
                    **head,
                    "arm": arm,
                    "draws": str(len(found)),
                    "Dice": f"{np.mean([run.dice for run in self.runs(cell, arm)]):.3f}",
                    "difference": f"{found.mean():+.4f}",
                    "95 %": f"{low:+.4f} to {high:+.4f}",
                    "detectable": f"{detectable_mean((low, high), len(found)):.3f}",
                    "p (Holm)": f"{p:.3f}",
                    "better in": f"{(found > 0).sum()} of {len(found)}",
                    "HD95 difference": f"{distances.mean():+.2f}" if len(distances) else "",
                }


def table(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """A Markdown table."""
    lines = [columns, ("---",) * len(columns), *([row.get(c, "") for c in columns] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def summary(gains: Gains) -> str:
    """With 5 cases: a row per data set and stage; for each arm its gain and interval."""
    cells = sorted((cell for cell in gains.cells if cell[2] == 5), key=lambda cell: cell[1])
    arms = sorted({arm for cell in cells for arm in gains.arms(cell)})
    rows = []
    for cell in cells:
        twin = np.mean([run.dice for run in gains.runs(cell, TWIN)])
        row = {"data set": cell[1], "stage": cell[0][0], TWIN: f"{twin:.3f}"}
        for arm in arms:
            found = gains.differences(cell, arm)
            if len(found) > 1:
                low, high = t_interval(found)
                row[arm] = f"{found.mean():+.3f} ({low:+.3f} to {high:+.3f}), {len(found)} draws"
        rows.append(row)
    return table(("data set", "stage", TWIN, *arms), rows)


def draw(gains: Gains, path: Path) -> None:
    """Differences to the twin with 5 cases: a point per draw, the mean and its interval."""
    cells = [cell for cell in gains.cells if cell[2] == 5]
    arms = sorted({arm for cell in cells for arm in gains.arms(cell)})[::-1]
    data = sorted({cell[1] for cell in cells})
    figure, axes = plt.subplots(
        1,
        len(data),
        figsize=(2 + 2.6 * len(data), 1.4 + 0.5 * len(arms)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, name in zip(axes[0], data, strict=True):
        for cell in (cell for cell in cells if cell[1] == name):
            is_b = cell[0] == "B"
            colour, lift = ("#d1603d", -0.2) if is_b else ("#2f6db5", 0.15)
            for arm in gains.arms(cell):
                found, place = gains.differences(cell, arm), arms.index(arm) + lift
                if not len(found):
                    continue
                ax.plot(found, np.full(len(found), place), "o", color=colour, alpha=0.45, ms=3.5)
                if len(found) > 1:
                    # That of two draws is so long that no other could be read.
                    if len(found) > 2:
                        ax.plot(t_interval(found), [place - 0.12] * 2, color=colour, linewidth=2)
                    ax.plot(found.mean(), place - 0.12, "|", color=colour, ms=8)
        ax.axvline(0, color="0.5", linewidth=0.8)
        ax.xaxis.set_major_locator(plt.MaxNLocator(4))
        ax.set(title=name, xlabel="Dice minus that from scratch", ylim=(-0.6, len(arms) - 0.4))
    axes[0][0].set_yticks(range(len(arms)), arms)
    figure.suptitle("5 labelled cases; blue: stage A, orange: stage B; bars: 95 %", fontsize=10)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def predictors(gains: Gains, path: Path) -> str:
    """Of every pretraining what the probe said, and its gain; and how both go together."""
    scores: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    found_images: dict[tuple[str, str, str], str] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["data set"].split("_", 1)[1], row["fold"], row["pretraining"].split("_")[0]
            scores[key].append(float(row["probe"]))
            found_images[key] = row["retrieval / chance"]
    rows, probed, gained = [], defaultdict(list), defaultdict(list)
    for cell in (cell for cell in gains.cells if cell[2] == 5 and cell[0] != BALANCE):
        fold = "1" if cell[0] == "B" else "0"
        for arm in gains.arms(cell):
            key, found = (cell[1], fold, arm), gains.differences(cell, arm)
            if key not in scores or not len(found):
                continue
            before = np.mean(scores[cell[1], fold, "untrained"])
            risen = float(np.mean(scores[key]) - before)
            probed[cell].append(risen)
            gained[cell].append(float(found.mean()))
            rows.append(
                {
                    "data set": cell[1],
                    "fold": fold,
                    "pretraining": arm,
                    "probe untrained": f"{before:.3f}",
                    "probe": f"{np.mean(scores[key]):.3f}",
                    "rise": f"{risen:+.3f}",
                    "retrieval / chance": found_images[key],
                    "Dice gained": f"{found.mean():+.4f}",
                }
            )
    text = table(tuple(rows[0]) if rows else ("data set",), rows)
    for cell in probed:
        if len(probed[cell]) > 2:
            rank = stats.spearmanr(probed[cell], gained[cell]).statistic
            text += f"\n{cell[1]}, stage {cell[0]}: rank correlation of rise and gain {rank:+.2f} "
            text += f"({len(probed[cell])} pretrainings).\n"
    return text


def main(arguments: Sequence[str], target: Path = HERE) -> None:
    """Command line."""
    path = target / "runs.csv"
    if arguments:
        runs = sorted(compared(Path(arguments[0])), key=Run.row)
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *(run.row() for run in runs)])
    runs = [*of_file(path), *of_balance(target.parent / "balance" / "dice.csv")]
    gains = Gains(runs)
    (target / "gains.md").write_text(table(GAIN_COLUMNS, gains.rows()), encoding="utf-8")
    (target / "summary.md").write_text(summary(gains), encoding="utf-8")
    draw(gains, target / "gains.svg")
    text = predictors(gains, target / "probes.csv")
    (target / "predictors.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
