"""Which curves a person sees of a training: the same in progress.png and in the report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnunetv2_pcrl.monitoring.vocabulary import Chart, Line, Shown

Logged = Mapping[str, list]
# What the probe logs, of which every pretraining has one.
PROBE, PROBE_PER_CLASS = "probe_dice", "probe_dice_per_class"

LOSS = (
    Line("train_losses", "training", 0),
    Line("val_losses", "validation", 0, "dashed"),
)
PROBE_CHART = Chart(
    "probe (Dice-like, sampled voxels)",
    (Line(PROBE, "mean", 2),),
    from_zero=True,
    text="How well a linear classifier on the frozen features tells the labelled classes apart; "
    "it should rise above its value before training.",
    axis="2 TP / (2 TP + FP + FN)",
)
RUNNING = (
    Chart(
        "gradient norm",
        (Line("train_gradient_norm", "mean of the steps", 0),),
        from_zero=True,
        text="Length of the gradient of all parameters; sudden peaks mean an unstable training. "
        "nnU-Net's segmentation clips it at 12, and shows it clipped.",
        axis="norm",
    ),
    Chart(
        "throughput [images/s]",
        (Line("images_per_second", "training", 0),),
        from_zero=True,
        text="Images whose views passed the network, per second.",
        axis="images/s",
    ),
    Chart(
        "time per epoch [s]",
        (Line("epoch_seconds", "epoch", 0),),
        from_zero=True,
        text="Training, validation and pictures together.",
        axis="s",
    ),
    Chart(
        "waiting for views, share of the time",
        (Line("data_wait_share", "waiting", 1),),
        from_zero=True,
        text="Near 0 is well; above a third the device waits for the data's workers.",
        axis="share",
    ),
)


@dataclass(frozen=True)
class Curve:
    """One value per epoch.

    Attributes:
        label: for the legend.
        values: NaN where there is none.
        colour: number in the palette; below 0 for grey.
        style: "solid", "dashed" or "dotted".
    """

    label: str
    values: tuple[float, ...]
    colour: int
    style: str = "solid"


@dataclass(frozen=True)
class Plot:
    """A chart with its values.

    Attributes:
        chart: what is shown; its lines are not looked at.
        curves: at least one has a finite value.
    """

    chart: Chart
    curves: tuple[Curve, ...]

    @property
    def title(self) -> str:
        """Of the chart."""
        return self.chart.title

    @property
    def num_epochs(self) -> int:
        """Of the longest curve."""
        return max(len(curve.values) for curve in self.curves)


def charts_of_run(shown: Shown) -> tuple[Chart, ...]:
    """All charts of a run: its loss, what it shows, the probe, schedules, speed."""
    loss = Chart("total loss", LOSS, text=shown.loss, axis="loss")
    is_relative = any(line.relative for line in shown.schedules)
    what = "learning rate" if len(shown.schedules) == 1 else "schedules"
    schedules = Chart(
        f"{what}, relative to the first epoch" if is_relative else what,
        shown.schedules,
        from_zero=True,
        text="What changes from epoch to epoch by plan.",
        axis="part of the first value" if is_relative else "",
    )
    return (loss, *shown.charts, PROBE_CHART, schedules, *RUNNING)


def plots(logged: Logged, shown: Shown) -> list[Plot]:
    """The charts of a run with their values; those without any are left out.

    Args:
        logged: lists with one value per epoch, by name.
        shown: of the run.
    """
    made = [
        Plot(chart, tuple(curve_of(line, logged) for line in chart.lines))
        for chart in charts_of_run(shown)
    ]
    return [plot for plot in made if has_values(plot)]


def curve_of(line: Line, logged: Logged) -> Curve:
    """A line with its values."""
    if line.constant is not None:
        values = (line.constant,) * len(logged["epoch_end_timestamps"])
    else:
        values = finished(logged, line.name)
    if line.part is not None:
        values = tuple(
            v[line.part] if isinstance(v, list) and line.part < len(v) else math.nan for v in values
        )
    if line.relative:
        values = relative_to_first(values)
    return Curve(line.label, values, line.colour, line.style)


def finished(logged: Logged, name: str) -> tuple:
    """Values of the finished epochs; NaN where there is none."""
    if name == "epoch_seconds":
        return epoch_seconds(logged)
    epochs = len(logged["epoch_end_timestamps"])
    values = [_number(value) for value in logged.get(name, [])[:epochs]]
    return tuple(values + [math.nan] * (epochs - len(values)))


def _number(value):
    """A float, or a list of floats: nnU-Net logs NumPy's numbers, and records have null for NaN."""
    if isinstance(value, list | tuple):
        return [_number(inner) for inner in value]
    return math.nan if value is None else float(value)


def relative_to_first(values: tuple[float, ...]) -> tuple[float, ...]:
    """Values divided by the first one."""
    return tuple(value / values[0] if values[0] else math.nan for value in values)


def epoch_seconds(logged: Logged) -> tuple[float, ...]:
    """Duration of every finished epoch."""
    starts, ends = (finished(logged, f"epoch_{n}_timestamps") for n in ("start", "end"))
    return tuple(end - start for start, end in zip(starts, ends, strict=True))


def last_finite(values: Sequence[float]) -> float | None:
    """The last number, or None."""
    return next((v for v in reversed(values) if isinstance(v, float) and math.isfinite(v)), None)


def has_values(plot: Plot) -> bool:
    """True if there is something to draw; a curve of chance or of the mean alone is not."""
    shown = (value for curve in plot.curves if curve.colour >= 0 for value in curve.values)
    return any(math.isfinite(value) for value in shown)
