"""Which curves a person sees of a training: the same in progress.png and in the report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnunetv2_pcrl.monitoring.log_names import PROBE, RESTORATION_ERROR, of_level

Logged = Mapping[str, list]


@dataclass(frozen=True)
class Curve:
    """One value per epoch.

    Attributes:
        label: for the legend.
        values: NaN where there is none.
        colour: number in the palette.
        style: "solid", "dashed" or "dotted".
    """

    label: str
    values: tuple[float, ...]
    colour: int
    style: str = "solid"


@dataclass(frozen=True)
class Chart:
    """Curves on one axis.

    Attributes:
        title: what is shown, with its unit.
        curves: at least one has a finite value.
        from_zero: whether the axis begins at 0.
        levels: whether colours stand for levels, low to high resolution.
        term: "restoration" or "comparison", if it shows heads that only this term trains.
    """

    title: str
    curves: tuple[Curve, ...]
    from_zero: bool = False
    levels: bool = False
    term: str = ""


def pretraining_charts(logged: Logged, num_levels: int, settings: Mapping[str, Any]) -> list[Chart]:
    """Charts of one pretraining; those without a value, or of a term without weight, are left out.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
        settings: of the run, as plain values.
    """

    def is_trained(term: str) -> bool:
        # Records may be older than the weights.
        return bool(settings.get(f"{term}_weight", 1))

    def curve(name: str, label: str, colour: int, style: str = "solid") -> Curve:
        return Curve(label, finished(logged, name), colour, style)

    def both_phases(term: str, label: str, colour: int) -> list[Curve]:
        return [
            curve(f"train_{term}", f"{label}, training", colour),
            curve(f"val_{term}", f"{label}, validation", colour, "dashed"),
        ]

    def per_level(name: str, style: str = "solid", words: str = "") -> list[Curve]:
        return [
            curve(of_level(f"val_{name}", level), f"level {level}{words}", level, style)
            for level in range(num_levels)
        ]

    epochs = len(logged["epoch_end_timestamps"])
    # One by the images of a batch.
    by_chance = Curve("chance", (1 / settings["batch_size"],) * epochs, -1, "dotted")
    full = curve(f"val_{RESTORATION_ERROR}", "full", -1)
    beta = curve("level_restoration_weight", "beta", 1, "dashed")
    betas = [beta] if is_trained("restoration") else []
    charts = [
        Chart(
            "total loss",
            (
                curve("train_losses", "training", 0),
                curve("val_losses", "validation (beta = 1)", 0, "dashed"),
            ),
        ),
        Chart(
            "restoration error, squared",
            (
                *both_phases("restoration", "full", 0),
                *both_phases("level_restoration", "drawn level", 1),
                curve("val_target_variance", "the view's mean", -1, "dotted"),
            ),
            from_zero=True,
            term="restoration",
        ),
        Chart(
            "comparison (-1: views agree)",
            (
                *both_phases("global_comparison", "global", 0),
                *both_phases("local_comparison", "local", 1),
            ),
            term="comparison",
        ),
        Chart(
            "restoration error / variance (1: the mean)",
            (*per_level(RESTORATION_ERROR), full),
            from_zero=True,
            levels=True,
            term="restoration",
        ),
        Chart("z_std (1: healthy, 0: collapse)", (*per_level("z_std"),), True, True),
        Chart(
            "cosine: matching images, others dashed",
            (*per_level("cosine_matching"), *per_level("cosine_other", "dashed", ", other")),
            levels=True,
        ),
        Chart(
            "local views that find their image",
            (*per_level("retrieval"), by_chance),
            from_zero=True,
            levels=True,
        ),
        Chart("effective rank of z", (*per_level("effective_rank"),), True, True),
        Chart("probe (Dice-like, sampled voxels)", (curve(PROBE, "mean", 2),), True),
        Chart(
            f"{'schedules' if betas else 'learning rate'}, relative to the first epoch",
            (Curve("learning rate", relative_to_first(logged, "lrs"), 0), *betas),
            from_zero=True,
        ),
        *running_charts(logged),
    ]
    return [chart for chart in charts if has_values(chart) and is_trained(chart.term)]


def finetuning_charts(logged: Logged) -> list[Chart]:
    """Charts of one fine-tuning."""

    def curve(name: str, label: str, colour: int, style: str = "solid") -> Curve:
        return Curve(label, finished(logged, name), colour, style)

    per_class = finished(logged, "dice_per_class_or_region")
    num_classes = max((len(values) for values in per_class if isinstance(values, list)), default=0)
    classes = [
        Curve(
            f"class or region {index + 1}",
            tuple(v[index] if isinstance(v, list) else math.nan for v in per_class),
            index,
        )
        for index in range(num_classes)
    ]
    charts = [
        Chart(
            "loss (Dice and cross-entropy)",
            (curve("train_losses", "training", 0), curve("val_losses", "validation", 0, "dashed")),
        ),
        Chart(
            "pseudo Dice",
            (
                curve("mean_fg_dice", "mean", 2, "dotted"),
                curve("ema_fg_dice", "moving average", 2),
            ),
            from_zero=True,
        ),
        Chart("pseudo Dice of each class or region", (*classes,), from_zero=True),
        Chart("learning rate", (curve("lrs", "learning rate", 0),), from_zero=True),
        *running_charts(logged),
    ]
    return [chart for chart in charts if has_values(chart)]


def running_charts(logged: Logged) -> list[Chart]:
    """What every trainer has: gradient norm, speed, times."""
    seconds = Curve("epoch", epoch_seconds(logged), 0)
    return [
        Chart(
            "gradient norm",
            (Curve("mean of the steps", finished(logged, "train_gradient_norm"), 0),),
            from_zero=True,
        ),
        Chart(
            "throughput [images/s]",
            (Curve("training", finished(logged, "images_per_second"), 0),),
            from_zero=True,
        ),
        Chart("time per epoch [s]", (seconds,), from_zero=True),
        Chart(
            "waiting for views, share of the time",
            (Curve("waiting", finished(logged, "data_wait_share"), 1),),
            from_zero=True,
        ),
    ]


def comparing_charts(runs: Sequence[tuple[str, Logged, int]]) -> list[Chart]:
    """Charts with one curve per run, for a comparison.

    Args:
        runs: name, lists by name, and levels of the pyramid of each (0 for a fine-tuning).
    """

    def mean_of_levels(name: str):
        def values(logged: Logged, num_levels: int) -> tuple[float, ...]:
            series = [finished(logged, of_level(f"val_{name}", n)) for n in range(num_levels)]
            return tuple(sum(v) / num_levels for v in zip(*series, strict=True))

        return values

    def plain(name: str):
        return lambda logged, num_levels: finished(logged, name)

    quantities = [
        ("validation loss", plain("val_losses"), False),
        ("training loss", plain("train_losses"), False),
        (
            "restoration error / image variance (1 = the mean)",
            plain(f"val_{RESTORATION_ERROR}"),
            True,
        ),
        ("comparison of the global views, validation", plain("val_global_comparison"), False),
        ("comparison of the local views, validation", plain("val_local_comparison"), False),
        ("z_std, mean of the levels", mean_of_levels("z_std"), True),
        ("cosine of matching images, mean of the levels", mean_of_levels("cosine_matching"), False),
        ("retrieval, mean of the levels", mean_of_levels("retrieval"), True),
        ("effective rank, mean of the levels", mean_of_levels("effective_rank"), True),
        ("probe: Dice-like score on sampled voxels", plain(PROBE), True),
        ("pseudo Dice, moving average", plain("ema_fg_dice"), True),
        ("gradient norm", plain("train_gradient_norm"), True),
        ("learning rate", plain("lrs"), True),
        ("throughput [images/s]", plain("images_per_second"), True),
        ("time per epoch [s]", lambda logged, num_levels: epoch_seconds(logged), True),
    ]
    charts = [
        Chart(
            title,
            tuple(
                Curve(name, values(logged, num_levels), number)
                for number, (name, logged, num_levels) in enumerate(runs)
            ),
            from_zero,
        )
        for title, values, from_zero in quantities
    ]
    return [chart for chart in charts if has_values(chart)]


def finished(logged: Logged, name: str) -> tuple:
    """Values of the finished epochs; NaN where there is none."""
    epochs = len(logged["epoch_end_timestamps"])
    values = [_number(value) for value in logged.get(name, [])[:epochs]]
    return tuple(values + [math.nan] * (epochs - len(values)))


def _number(value):
    """A float, or a list of floats: nnU-Net logs NumPy's numbers, and records have null for NaN."""
    if isinstance(value, list | tuple):
        return [_number(inner) for inner in value]
    return math.nan if value is None else float(value)


def relative_to_first(logged: Logged, name: str) -> tuple[float, ...]:
    """Values divided by the first one."""
    values = finished(logged, name)
    return tuple(value / values[0] if values[0] else math.nan for value in values)


def epoch_seconds(logged: Logged) -> tuple[float, ...]:
    """Duration of every finished epoch."""
    starts, ends = (finished(logged, f"epoch_{n}_timestamps") for n in ("start", "end"))
    return tuple(end - start for start, end in zip(starts, ends, strict=True))


def has_values(chart: Chart) -> bool:
    """True if there is something to draw; a curve of chance or of the mean alone is not."""
    shown = (value for curve in chart.curves if curve.colour >= 0 for value in curve.values)
    return any(math.isfinite(value) for value in shown)
