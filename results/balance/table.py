"""Makes tables (table and check, .csv and .md) and balance.svg of the pretrainings in a folder.

python results/balance/table.py FOLDER
"""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from nnunetv2_pcrl.evaluation.markdown import markdown_table

# The same numbers make the same file.
plt.rcParams["svg.hashsalt"] = "balance"

HERE = Path(__file__).resolve().parent
DATA = {
    4: "Hippocampus",
    103: "ACDC",
    105: "chest films",
    190: "Hippocampus and ACDC",
    901: "generated CT",
}
TUNED_ON = ("Hippocampus", "ACDC")
COLUMNS = {
    "restoration / variance": "val_restoration_error",
    "global comparison": "val_global_comparison",
    "local comparison": "val_local_comparison",
    "probe": "probe_dice",
}


def row_of(result: dict) -> dict[str, str]:
    """One training as a row."""
    found, own = result["found"], result["settings"]["pcrlv2"]
    norms = {k.removeprefix("val_gradient_"): v for k, v in found.items() if "_gradient_" in k}
    norms.pop("train_gradient_norm", None)
    restoring = sum(v for k, v in norms.items() if "restoration" in k)
    retrieval = max(v for k, v in found.items() if k.startswith("val_retrieval"))
    common = result["settings"]["pretraining"]
    batch, epochs = common["batch_size"], common["num_epochs"]
    in_3d = result.get("configuration") == "3d_fullres"
    return {
        "data set": DATA[result["data"]] + (" in 3D" if in_3d else ""),
        "restoration weight": f"{own['restoration_weight']:g}",
        "steps": str(epochs * common["num_iterations_per_epoch"]),
        "optimiser": f"{own['optimizer']} {own['initial_lr']:g}",
        # The pool has no labels, and so no probe.
        **{title: f"{found[name]:.3f}" if name in found else "" for title, name in COLUMNS.items()},
        "retrieval / chance": f"{retrieval * batch:.1f}",
        "restorations' part of the gradient": f"{restoring / sum(norms.values()):.3f}",
    }


def order(row: dict[str, str]) -> tuple[str, float, int, str]:
    """By data set, weight, steps and optimiser."""
    weight, steps = float(row["restoration weight"]), int(row["steps"])
    return row["data set"], weight, steps, row["optimiser"]


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Comparison against restoration: both are taught in the lower left corner."""
    figure, axes = plt.subplots(
        1, len(TUNED_ON), figsize=(9, 3.6), sharey=True, layout="constrained"
    )
    weights = sorted({float(row["restoration weight"]) for row in rows}, reverse=True)
    markers = dict(zip(weights, "osD^v", strict=False))
    optimizers = sorted({row["optimiser"] for row in rows})
    colors = dict(zip(optimizers, ("#d95f02", "#7fb0de", "#1b4f8a", "0.5"), strict=False))
    for ax, name in zip(axes, TUNED_ON, strict=True):
        for row in rows:
            if row["data set"] == name:
                x, y = float(row["restoration / variance"]), float(row["global comparison"])
                marker = markers[float(row["restoration weight"])]
                ax.plot(x, y, marker, color=colors[row["optimiser"]], ms=7)
        ax.axvline(0.5, color="0.7", linewidth=0.8)
        ax.axhline(-0.4, color="0.7", linewidth=0.8)
        ax.set(title=name, xlabel="restoration error / variance", xlim=(0.2, 1.3), ylim=(-1, 0.05))
    axes[0].set_ylabel("global comparison")
    keys = [
        Line2D([], [], ls="", marker=m, color="0.3", label=f"weight {w:g}")
        for w, m in markers.items()
    ]
    keys += [Line2D([], [], ls="", marker="s", color=c, label=name) for name, c in colors.items()]
    figure.legend(handles=keys, loc="outside right center", frameon=False)
    figure.savefig(path)
    plt.close(figure)


def write_table(patterns: Sequence[str], folder: Path, path: Path) -> list[dict[str, str]]:
    """Writes a table of the pretrainings by PCRLv2 whose names fit, twice; none without any."""
    found = [file for pattern in patterns for file in folder.glob(pattern)]
    results = [json.loads(file.read_text(encoding="utf-8")) for file in found]
    rows = sorted(map(row_of, results), key=order)
    if rows:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        text = markdown_table([*rows[0]], [[*row.values()] for row in rows])
        path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    return rows


def main(folder: Path, target: Path = HERE) -> None:
    """Reads a folder of results and writes the files of those that are there."""
    write_table(
        ("*_long_w*.json", "*_longer_w*.json", "*_check*_w*.json"), folder, target / "check.csv"
    )
    if rows := write_table(("*_2d_w*.json",), folder, target / "table.csv"):
        draw(rows, target / "balance.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
