"""Tables and a figure of all trainings of this folder, and whether a probe told the gain.

    python results/label_efficiency/table.py [FOLDER]

Reads the comparisons that `run.sh` left in FOLDER and writes their runs to runs.csv, where other
runs stay; without FOLDER that file is read alone. With it, ../balance/dice.csv (Hippocampus and
ACDC) and probes.csv, it writes gains.md, summary.md, gains.svg, labels.svg and predictors.md.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from figures import draw, draw_over_labels
from gains import BALANCE, TWIN, Gains, compared, of_balance, of_file, short_stage
from scipy import stats

from nnunetv2_pcrl.evaluation.markdown import markdown_table
from nnunetv2_pcrl.evaluation.statistics import detectable_mean, holm, t_interval, t_test

HERE = Path(__file__).resolve().parent
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


def gain_rows(gains: Gains) -> Iterator[dict[str, str]]:
    """Every arm of every cell."""
    for cell in gains.cells:
        head = dict(zip(GAIN_COLUMNS, map(str, cell), strict=False))
        twins = gains.runs(cell, TWIN)
        dice = np.mean([run.dice for run in twins])
        yield {**head, "arm": TWIN, "draws": str(len(twins)), "Dice": f"{dice:.3f}"}
        found = {arm: gains.differences(cell, arm) for arm in gains.arms(cell)}
        # One draw has no spread.
        tested = [arm for arm, values in found.items() if len(values) > 1]
        p_values = holm([t_test(found[arm]) for arm in tested])
        adjusted = dict(zip(tested, p_values, strict=True))
        for arm in (arm for arm, values in found.items() if len(values)):
            row = {**head, "arm": arm, **gain_of(gains, cell, arm)}
            yield row | ({"p (Holm)": f"{adjusted[arm]:.3f}"} if arm in adjusted else {})


def gain_of(gains: Gains, cell: tuple, arm: str) -> dict[str, str]:
    """What an arm has gained on a cell, as columns of the table."""
    found = gains.differences(cell, arm)
    distances = gains.differences(cell, arm, "hd95")
    row = {
        "draws": str(len(found)),
        "Dice": f"{np.mean([run.dice for run in gains.runs(cell, arm)]):.3f}",
        "difference": f"{found.mean():+.4f}",
        "better in": f"{(found > 0).sum()} of {len(found)}",
        "HD95 difference": f"{distances.mean():+.2f}" if len(distances) else "",
    }
    if len(found) > 1:
        low, high = t_interval(found)
        row["95 %"] = f"{low:+.4f} to {high:+.4f}"
        row["detectable"] = f"{detectable_mean((low, high), len(found)):.3f}"
    return row


def table(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """In Markdown, with nothing where a row has no value of a column."""
    return markdown_table(columns, [[row.get(name, "") for name in columns] for row in rows]) + "\n"


def summary(gains: Gains) -> str:
    """A row per data set, stage and number of cases; for each arm its gain and interval."""
    arms = sorted({arm for cell in gains.cells for arm in gains.arms(cell)})
    rows = []
    for cell in sorted(gains.cells, key=lambda cell: (cell[1], cell[0], cell[2])):
        twin = np.mean([run.dice for run in gains.runs(cell, TWIN)])
        row = {
            "data set": cell[1],
            "stage": short_stage(cell[0]),
            "cases": str(cell[2]),
            TWIN: f"{twin:.3f}",
        }
        row |= {arm: gain_text(gains.differences(cell, arm)) for arm in arms}
        rows.append(row)
    return table(("data set", "stage", "cases", TWIN, *arms), rows)


def gain_text(found: np.ndarray) -> str:
    """Mean, interval and number of differences; empty if there is none."""
    if len(found) < 2:
        return f"{found[0]:+.3f}, 1 draw" if len(found) else ""
    low, high = t_interval(found)
    return f"{found.mean():+.3f} ({low:+.3f} to {high:+.3f}), {len(found)} draws"


def predictors(gains: Gains, path: Path) -> str:
    """Of every pretraining what the probe said, and its gain; and how both go together."""
    scores: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    found_images: dict[tuple[str, str, str], str] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["data set"].split("_", 1)[1], row["stage"], row["pretraining"].split("_")[0]
            scores[key].append(float(row["probe"]))
            found_images[key] = row["retrieval / chance"]
    rows, probed, gained = [], defaultdict(list), defaultdict(list)
    for cell in (cell for cell in gains.cells if cell[2] == 5 and cell[0] != BALANCE):
        for arm in gains.arms(cell):
            key, found = (cell[1], cell[0], arm), gains.differences(cell, arm)
            if key not in scores or not len(found):
                continue
            before = np.mean(scores[cell[1], cell[0], "untrained"])
            risen = float(np.mean(scores[key]) - before)
            probed[cell].append(risen)
            gained[cell].append(float(found.mean()))
            rows.append(
                {
                    "data set": cell[1],
                    "stage": cell[0],
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
        known = {run.key: run for run in of_file(path)} if path.exists() else {}
        known |= {run.key: run for run in compared(Path(arguments[0]))}
        rows = sorted(run.row() for run in known.values())
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    runs = [*of_file(path), *of_balance(target.parent / "balance" / "dice.csv")]
    gains = Gains(runs)
    (target / "gains.md").write_text(table(GAIN_COLUMNS, [*gain_rows(gains)]), encoding="utf-8")
    (target / "summary.md").write_text(summary(gains), encoding="utf-8")
    draw(gains, target / "gains.svg")
    draw_over_labels(gains, target / "labels.svg")
    text = predictors(gains, target / "probes.csv")
    (target / "predictors.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
