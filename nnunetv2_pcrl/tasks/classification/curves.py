"""Figure of every class: ROC, precision over recall, calibration."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.encoder.scores import Scores

COLOUR, GREY = "#0072B2", "#777777"
# Inches.
CELL, HEAD, FOOT = 3.1, 0.5, 0.35
MOST_BINS, LEAST_PER_BIN = 10, 10


def draw_curves(table: ClassTable, predicted: np.ndarray, scores: Scores) -> Figure:
    """One row per class for which there is something to draw.

    Args:
        table: the truth.
        predicted: probabilities, shape [N, K].
        scores: of these predictions.
    """
    drawn = [place for place, score in enumerate(scores.classes) if not score.undefined]
    height = CELL * max(1, len(drawn)) + HEAD + FOOT
    figure = Figure(figsize=(3 * CELL + 1.2, height), facecolor="white")
    figure.subplots_adjust(
        left=0.075,
        right=0.985,
        top=1 - HEAD / height,
        bottom=(FOOT + 0.2) / height,
        wspace=0.28,
        hspace=0.42,
    )
    for row, place in enumerate(drawn):
        known = ~np.isnan(table.targets[:, place])
        labels, values = table.targets[known, place], predicted[known, place]
        axes = [figure.add_subplot(len(drawn), 3, 3 * row + column) for column in (1, 2, 3)]
        score = scores.classes[place]
        _draw_roc(axes[0], labels, values)
        _draw_precision(axes[1], labels, values)
        _draw_calibration(axes[2], labels, values)
        auroc, precision = (_with_interval(score, name) for name in score.values)
        axes[0].set_title(f"{score.name}: AUROC {auroc}", loc="left", fontsize=10)
        axes[1].set_title(f"average precision {precision}", loc="left", fontsize=10)
        counts = f"{score.num_positive} of {score.num_positive + score.num_negative} positive"
        axes[2].set_title(f"calibration, {counts}", loc="left", fontsize=10)
    if not drawn:
        figure.text(0.5, 0.5, "No class has both positive and negative cases.", ha="center")
    return figure


def _with_interval(score, metric: str) -> str:
    low, high = score.intervals[metric]
    text = f"{score.values[metric]:.3f}"
    return text if np.isnan(low) else f"{text} ({low:.3f} to {high:.3f})"


def _draw_roc(ax: Axes, labels: np.ndarray, values: np.ndarray) -> None:
    false_positive, true_positive, _ = roc_curve(labels, values)
    ax.plot((0, 1), (0, 1), ":", color=GREY)
    ax.plot(false_positive, true_positive, color=COLOUR)
    _finish(ax, "false positive rate", "true positive rate")


def _draw_precision(ax: Axes, labels: np.ndarray, values: np.ndarray) -> None:
    precision, recall, _ = precision_recall_curve(labels, values)
    # The area below these steps is the average precision; without recall there is no precision.
    found = recall > 0
    recall, precision = np.r_[recall[found], 0], np.r_[precision[found], precision[found][-1]]
    ax.axhline(labels.mean(), linestyle=":", color=GREY)
    ax.step(recall, precision, where="post", color=COLOUR)
    _finish(ax, "recall", "precision")


def _draw_calibration(ax: Axes, labels: np.ndarray, values: np.ndarray) -> None:
    """Share of positive cases over the mean probability, in groups of equal size."""
    num_bins = max(2, min(MOST_BINS, len(labels) // LEAST_PER_BIN))
    share, mean = calibration_curve(labels, values, n_bins=num_bins, strategy="quantile")
    ax.plot((0, 1), (0, 1), ":", color=GREY)
    ax.plot(mean, share, "o-", color=COLOUR, markersize=4)
    ax.hist(values, bins=20, range=(0, 1), weights=np.full(len(values), 1 / len(values)), alpha=0.2)
    _finish(ax, "predicted probability", "share that is positive")


def _finish(ax: Axes, below: str, beside: str) -> None:
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.04)
    ax.set_xlabel(below, fontsize=9)
    ax.set_ylabel(beside, fontsize=9)
    ax.tick_params(labelsize=8)
    ax.grid(alpha=0.25)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
