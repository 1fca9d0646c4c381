"""Makes dice.csv, dice.md and dice.svg of the fine-tunings of `measure.py finetune` in a folder.

python results/balance/dice.py FOLDER
"""

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from nnunetv2_pcrl.evaluation.markdown import markdown_table
from nnunetv2_pcrl.evaluation.statistics import t_interval

# The same numbers make the same file.
plt.rcParams["svg.hashsalt"] = "balance"

HERE = Path(__file__).resolve().parent
DATA = {4: "Hippocampus", 103: "ACDC"}
TWIN = "twin"
TITLES = {
    "w1_sgd0.01": "PCRLv2, weight 1 (default)",
    "w5_sgd0.01": "PCRLv2, weight 5 (stage 1's)",
    "w1_sgd0.03": "PCRLv2, weight 1, rate 3e-2",
    "w1_sgd0.01_longer": "PCRLv2, 2400 steps instead of 600",
    "w1_sgd0.01_pooled": "PCRLv2, on the images of both",
    "strongerViews": "PCRLv2, stronger changes of intensity",
    "MAE_encoder": "MAE, encoder",
    "MAE_longer": "MAE, encoder, 3600 steps instead of 600",
    "MAE_pooled": "MAE, encoder, on the images of both",
    "MAE_encoder_decoder": "MAE, encoder and decoder",
    "MAE_densified_encoder": "MAE, densified",
    "ModelsGenesis_encoder": "Models Genesis, encoder",
    "ModelsGenesis_encoder_decoder": "Models Genesis, encoder and decoder",
    "SimCLR_encoder": "SimCLR",
    "VoCo_encoder": "VoCo",
    "frozen": "PCRLv2, encoder frozen for 3 of 10 epochs",
    "sawtooth": "PCRLv2, sawtooth schedule",
    "restorationOnly": "PCRLv2 without comparisons",
    "comparisonOnly": "PCRLv2 without restorations",
}
# Differences: an arm, and what it is paired with.
DEFAULT = "w1_sgd0.01"
PAIRS = [(arm, TWIN) for arm in TITLES]
OF_DEFAULT = (
    "w5_sgd0.01",
    "w1_sgd0.03",
    "w1_sgd0.01_longer",
    "w1_sgd0.01_pooled",
    "strongerViews",
    "frozen",
    "sawtooth",
    "restorationOnly",
    "comparisonOnly",
)
PAIRS += [(arm, DEFAULT) for arm in OF_DEFAULT]
OF_MAE = ("MAE_longer", "MAE_pooled", "MAE_densified_encoder")
PAIRS += [(arm, "MAE_encoder") for arm in OF_MAE]
Scores = Mapping[tuple[str, str], Mapping[int, float]]


def scores_of(folder: Path) -> Scores:
    """Mean Dice of the validation cases by data set and arm, then by draw."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for path in folder.glob("*_5cases_draw*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        draw, arm = result["name"].split("_5cases_draw")[1].split("_", 1)
        scores = found.setdefault((DATA[result["data"]], arm), {})
        scores[int(draw)] = result["found"]["dice"]
    return found


def differences(scores: Scores, data: str, arm: str, other: str) -> np.ndarray:
    """Of the draws that both have, in their order."""
    ours, theirs = scores.get((data, arm), {}), scores.get((data, other), {})
    return np.array([ours[draw] - theirs[draw] for draw in sorted(ours) if draw in theirs])


def row_of(scores: Scores, data: str, arm: str, other: str) -> dict[str, str] | None:
    """One paired comparison; None if no draw has both."""
    found = differences(scores, data, arm, other)
    if not len(found):
        return None
    low, high = t_interval(found)
    return {
        "data set": data,
        "arm": TITLES[arm],
        "against": TITLES.get(other, "from scratch"),
        "draws": str(len(found)),
        "Dice": f"{np.mean([*scores[data, arm].values()]):.3f}",
        "difference": f"{found.mean():+.4f}",
        "95 %": f"{low:+.4f} to {high:+.4f}" if len(found) > 1 else "",
        "better in": f"{(found > 0).sum()} of {len(found)}",
    }


def draw(scores: Scores, path: Path) -> None:
    """Differences to the twin, one point per draw."""
    there = {arm for _, arm in scores}
    titles = [(arm, title) for arm, title in TITLES.items() if arm in there][::-1]
    figure, axes = plt.subplots(
        1, len(DATA), figsize=(9, 1.6 + 0.4 * len(titles)), sharey=True, layout="constrained"
    )
    for ax, data in zip(axes, DATA.values(), strict=True):
        for place, (arm, _) in enumerate(titles):
            found = differences(scores, data, arm, TWIN)
            if not len(found):
                continue
            ax.plot(found, np.full(len(found), place), "o", color="#2a6fbb", alpha=0.5, ms=4)
            low, high = t_interval(found)
            ax.plot([low, high], [place - 0.25] * 2, color="#2a6fbb", linewidth=2)
            ax.plot(found.mean(), place - 0.25, "|", color="#2a6fbb", ms=9)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.axvline(0, color="0.5", linewidth=0.8)
        ax.set(title=data, xlabel="Dice minus that from scratch", ylim=(-0.7, len(titles) - 0.4))
    axes[0].set_yticks(range(len(titles)), [title for _, title in titles])
    figure.savefig(path)
    plt.close(figure)


def main(folder: Path, target: Path = HERE) -> None:
    """Reads a folder of results and writes the files."""
    scores = scores_of(folder)
    twins = [
        {
            "data set": data,
            "arm": "from scratch",
            "draws": str(len(scores[data, TWIN])),
            "Dice": f"{np.mean([*scores[data, TWIN].values()]):.3f}",
        }
        for data in DATA.values()
        if (data, TWIN) in scores
    ]
    pairs = [row_of(scores, data, *pair) for data in DATA.values() for pair in PAIRS]
    rows = twins + [row for row in pairs if row is not None]
    columns = ("data set", "arm", "against", "draws", "Dice", "difference", "95 %", "better in")
    text = markdown_table(columns, [[row.get(c, "") for c in columns] for row in rows])
    (target / "dice.md").write_text(text + "\n", encoding="utf-8")
    with open(target / "dice.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("data set", "arm", "draw", "Dice"))
        for (data, arm), by_draw in sorted(scores.items()):
            writer.writerows((data, arm, n, f"{by_draw[n]:.4f}") for n in sorted(by_draw))
    draw(scores, target / "dice.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
