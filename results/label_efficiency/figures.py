"""The figures of this folder."""

import math
from collections import defaultdict
from pathlib import Path

import matplotlib
import numpy as np
from gains import TWIN, Gains, short_stage

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from nnunetv2_pcrl.evaluation.statistics import t_interval

# Colour, and height above an arm's line, by stage.
STAGES = {
    "A": ("#2f6db5", 0.33),
    "B": ("#d1603d", 0.13),
    "C": ("#3b8f4f", -0.07),
    "pool": ("#8a5fb0", -0.27),
}
# The same numbers make the same file.
plt.rcParams["svg.hashsalt"] = "label_efficiency"


def draw(gains: Gains, path: Path) -> None:
    """Differences to the twin with 5 cases: a point per draw, the mean and its interval."""
    cells = [cell for cell in gains.cells if cell[2] == 5]
    arms = sorted({arm for cell in cells for arm in gains.arms(cell)})[::-1]
    data = sorted({cell[1] for cell in cells})
    figure, axes = plt.subplots(
        1,
        len(data),
        figsize=(2 + 2.6 * len(data), 1.4 + 0.6 * len(arms)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, name in zip(axes[0], data, strict=True):
        for cell in (cell for cell in cells if cell[1] == name):
            colour, lift = STAGES[short_stage(cell[0])]
            for arm in gains.arms(cell):
                found, place = gains.differences(cell, arm), arms.index(arm) + lift
                if not len(found):
                    continue
                ax.plot(found, np.full(len(found), place), "o", color=colour, alpha=0.45, ms=3.5)
                if len(found) > 1:
                    # That of two draws is so long that no other could be read.
                    if len(found) > 2:
                        ax.plot(t_interval(found), [place - 0.1] * 2, color=colour, linewidth=2)
                    ax.plot(found.mean(), place - 0.1, "|", color=colour, ms=8)
        ax.axvline(0, color="0.5", linewidth=0.8)
        ax.xaxis.set_major_locator(plt.MaxNLocator(4))
        ax.set(title=name, xlabel="Dice minus that from scratch", ylim=(-0.6, len(arms) - 0.4))
    axes[0][0].set_yticks(range(len(arms)), arms)
    figure.suptitle(
        "5 labelled cases; stages A blue, B orange, C green (whole images, ACDC in 3D), pool "
        "violet; bars: 95 %",
        fontsize=10,
    )
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_over_labels(gains: Gains, path: Path) -> None:
    """Dice of stages B and C over the labelled cases: a point per draw, lines through the means."""
    cells = [cell for cell in gains.cells if cell[0] in ("B", "C")]
    arms = [TWIN, *sorted({arm for cell in cells for arm in gains.arms(cell)})]
    of_panels = defaultdict(list)
    for cell in cells:
        of_panels[cell[1], cell[0]].append(cell)
    # One number of cases makes no line.
    panels = sorted(of for of, own in of_panels.items() if len(own) > 1)
    columns = 3
    rows = max(math.ceil(len(panels) / columns), 1)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(9.5, 0.7 + 2.9 * rows),
        squeeze=False,
        layout="constrained",
    )
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (name, stage) in zip(axes.flat, panels, strict=False):
        own = of_panels[name, stage]
        for number, arm in enumerate(arms):
            colour = "0.2" if arm == TWIN else f"C{number - 1}"
            # Beside one another, on an axis of logarithms.
            shift = 1.07 ** (number - (len(arms) - 1) / 2)
            places, means = [], []
            for cell in own:
                if found := [run.dice for run in gains.runs(cell, arm)]:
                    places.append(cell[2] * shift)
                    means.append(np.mean(found))
                    ax.plot(places[-1:] * len(found), found, "o", color=colour, alpha=0.35, ms=3)
            ax.plot(places, means, "-", color=colour, linewidth=1.5, label=arm)
        ax.set_xscale("log")
        ticks = [cell[2] for cell in own]
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.set(title=f"{name}, stage {stage}", xlabel="labelled cases")
    for ax in axes[:, 0]:
        ax.set_ylabel("Dice")
    if panels:
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
