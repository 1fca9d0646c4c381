"""What short pretrainings on ACDC learned: a table of `measure.py`'s numbers, and a figure.

python results/methods/table.py results/methods/pretraining.csv
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# What tells whether a method's loss has fallen: the number, what it is, and the value that it has
# where nothing is learned; a name stands for another number of the same run.
JUDGED = {
    "VoCo": (("positive", "positive_of_constant"), ("intra_relative", 1.0)),
    "SimCLR": (("contrast_relative", 1.0),),
    "RepRec": (("contrast_relative", 1.0), ("recovery_error", 1.0)),
    "PCRLv1": (("contrast_relative", 1.0), ("restoration_error", 1.0)),
    "PCRLv2": (("global_comparison", 0.0), ("restoration_error", 1.0)),
    "MAE": (("restoration_error", 1.0),),
    "ModelsGenesis": (("restoration_error", 1.0),),
}
# Of what the backbone gives, and of the encoder's stages alone; earlier runs lack the second.
PROBES = ("probe", "encoder_probe")
Runs = Mapping[tuple[str, str], Mapping[str, tuple[float, float]]]


def read(path: Path) -> Runs:
    """Numbers before and after, and the steps between, by method and seed."""
    runs: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            run = runs.setdefault((row["method"], row["seed"]), {})
            run[row["number"]] = float(row["before"]), float(row["after"])
            run["steps"] = 0.0, float(row["steps"])
    return runs


def table_of(runs: Runs) -> str:
    """A row for every method and number: before and after for each seed."""
    lines = [
        "| method | steps | number | nothing learned | seed: before → after | better |",
        "|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(method for method, _ in runs):
        of_method = {seed: run for (name, seed), run in runs.items() if name == method}
        probes = [name for name in PROBES if all(name in run for run in of_method.values())]
        judged = JUDGED[method.split("_")[0]]
        for number, worth in (*judged, *((name, "before") for name in probes)):
            told, better = [], 0
            for seed, run in sorted(of_method.items()):
                before, after = run[number]
                bound = before if number in probes else run[worth][1] if worth in run else worth
                better += after > bound if number in probes else after < bound
                told.append(f"{seed}: {before:.3f} → {after:.3f}")
            means = [run[worth][1] for run in of_method.values() if worth in run]
            nothing = f"{sum(means) / len(means):.3f}" if means else str(worth)
            share = f"{better} of {len(of_method)}"
            steps = ", ".join(sorted({f"{run['steps'][1]:.0f}" for run in of_method.values()}))
            cells = (method, steps, number, nothing, ", ".join(told), share)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw_probes(runs: Runs, path: Path) -> None:
    """A line from before to after for every run, one column per method."""
    methods = list(dict.fromkeys(method for method, _ in runs))
    figure, ax = plt.subplots(figsize=(1 + 1.3 * len(methods), 3.2), layout="constrained")
    for (method, _), run in runs.items():
        (before, after), place = run["probe"], methods.index(method)
        colour = "#2f6db5" if after > before else "#d1603d"
        ax.plot([place - 0.25, place + 0.25], [before, after], "o-", color=colour, markersize=4)
    ax.set_xticks(range(len(methods)), methods)
    ax.set_ylabel("probe: 2 TP / (2 TP + FP + FN)")
    ax.set_title("probe before and after, a line per seed (orange: it fell)", fontsize=10)
    ax.grid(axis="y", color="#dddddd")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    path = Path(arguments[0])
    runs = read(path)
    (path.parent / "table.md").write_text(table_of(runs), encoding="utf-8")
    draw_probes(runs, path.parent / "probe.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
