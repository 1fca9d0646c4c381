"""What a person sees of a pretraining: log lines, the collapse warning, progress.png."""

import math
import os
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

TERMS = ("restoration", "level_restoration", "global_comparison", "local_comparison")
# Below the rounding error of half precision, differences between images are noise.
COLLAPSE_BELOW = 1e-3


def epoch_lines(logged: Mapping[str, list], num_levels: int) -> list[str]:
    """The last epoch in words.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
    """
    last = {name: values[-1] for name, values in logged.items() if values}
    lines = [f"train_loss {last['train_losses']:.4f}", f"val_loss {last['val_losses']:.4f}"]
    for phase in ("train", "val"):
        terms = ", ".join(f"{term} {last[f'{phase}_{term}']:.4f}" for term in TERMS)
        lines.append(f"{phase}: {terms}")
    lines.append(f"restoring each view's own mean would give {last['val_target_variance']:.4f}")
    for name, title in (("z_std", "z_std (1 is healthy)"), ("feature_spread", "feature spread")):
        values = [f"{last[f'val_{name}_level_{level}']:.3f}" for level in range(num_levels)]
        lines.append(f"{title} per level, low to high resolution: {', '.join(values)}")
    seconds = last["epoch_end_timestamps"] - last["epoch_start_timestamps"]
    lines.append(
        f"Epoch time: {seconds:.2f} s, of which {100 * last['data_wait_share']:.0f} % of the "
        f"training steps' time was spent waiting for views"
    )
    return lines


def collapse_warning(logged: Mapping[str, list], num_levels: int) -> str | None:
    """A warning naming the levels whose features are nearly the same for all images."""
    collapsed = [
        level
        for level in range(num_levels)
        if logged[f"val_feature_spread_level_{level}"][-1] < COLLAPSE_BELOW
    ]
    if not collapsed:
        return None
    return (
        f"WARNING: the representation has collapsed at level {', '.join(map(str, collapsed))}: "
        f"images differ by less than {COLLAPSE_BELOW} of the features' size. A larger "
        f'"batch_size" or a lower "initial_lr" in the plans may help.'
    )


def draw_progress(logged: Mapping[str, list], num_levels: int, folder: str | os.PathLike) -> None:
    """Writes progress.png: curves of all epochs so far.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
        folder: where to write.
    """
    figure = Figure(figsize=(18, 10), layout="constrained")
    axes = figure.subplots(2, 3).flatten()
    num_epochs = len(logged["epoch_end_timestamps"])

    def curves(ax: Axes, series: Sequence[tuple[str, str, str]], title: str) -> None:
        for name, label, style in series:
            ax.plot(range(num_epochs), logged[name][:num_epochs], style, label=label, marker=".")
        ax.set_title(title, loc="left", fontweight="bold")
        ax.set_xlabel("epoch")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=9)

    curves(
        axes[0],
        [("train_losses", "training", "C0-"), ("val_losses", "validation (beta = 1)", "C3-")],
        "total loss",
    )
    for ax, terms, title in (
        (axes[1], TERMS[:2], "restoration error (squared, in preprocessed units)"),
        (axes[2], TERMS[2:], "comparison (-1 = perfect agreement)"),
    ):
        series = []
        for color, term in zip(("C0", "C1"), terms, strict=True):
            label = term.replace("_", " ")
            series.append((f"train_{term}", f"{label}, training", f"{color}-"))
            series.append((f"val_{term}", f"{label}, validation", f"{color}--"))
        curves(ax, series, title)
    axes[1].set_ylim(bottom=0)
    mean_everywhere = logged["val_target_variance"][:num_epochs]
    axes[1].plot(range(num_epochs), mean_everywhere, color="grey", label="each view's mean")
    axes[1].legend(fontsize=9)
    curves(
        axes[3],
        [(f"val_z_std_level_{level}", f"level {level}", "-") for level in range(num_levels)],
        "z_std per level (validation; 0 = collapse)",
    )
    axes[3].axhline(0, color="grey", linewidth=1)
    curves(axes[4], [("lrs", "learning rate", "C2-")], "learning rate and beta")
    right = axes[4].twinx()
    right.plot(
        range(num_epochs), logged["level_restoration_weight"][:num_epochs], "C4:", label="beta"
    )
    right.set_ylim(-0.02, 1.02)
    right.legend(fontsize=9, loc="lower left")
    _draw_times(axes[5], logged, num_epochs)
    for ax in axes:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(os.path.join(folder, "progress.png"), dpi=80)


def _draw_times(ax: Axes, logged: Mapping[str, list], num_epochs: int) -> None:
    spans = zip(logged["epoch_start_timestamps"], logged["epoch_end_timestamps"], strict=False)
    seconds = [end - start for start, end in spans][:num_epochs]
    ax.plot(range(num_epochs), seconds, "C0-", marker=".", label="epoch duration")
    ax.set_title("time per epoch [s]", loc="left", fontweight="bold")
    ax.set_xlabel("epoch")
    ax.set_ylim(0, 1.1 * max((s for s in seconds if math.isfinite(s)), default=1.0))
    ax.grid(alpha=0.3)
    right = ax.twinx()
    share = logged["data_wait_share"][:num_epochs]
    right.plot(range(num_epochs), share, "C1:", label="share of waiting for views")
    right.set_ylim(-0.02, 1.02)
    handles = [*ax.get_lines(), *right.get_lines()]
    ax.legend(handles, [line.get_label() for line in handles], fontsize=9)
