"""What a run shows of itself, as data: logged series, charts, numbers to see first, pictures.

A method describes itself in these words, and its record keeps the description, so that log, bar,
charts and report need to know no method.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box


@dataclass(frozen=True)
class Series:
    """A number that is logged once per epoch.

    Attributes:
        name: without its phase, e.g. restoration.
        phases: "train" and "val" where training and validation have it; none where it is logged
            once, under its own name.
        short: what the progress bar and the epoch's line call it; empty to leave it out there.
        is_term: whether it is in the loss; losses of the same terms can be compared.
    """

    name: str
    phases: tuple[str, ...] = ("train", "val")
    short: str = ""
    is_term: bool = False

    @property
    def log_names(self) -> tuple[str, ...]:
        """Its names in nnU-Net's log."""
        return tuple(f"{phase}_{self.name}" for phase in self.phases) or (self.name,)


def of_level(name: str, level: int) -> str:
    """Name of a number of one level, 0 = lowest resolution."""
    return f"{name}_level_{level}"


@dataclass(frozen=True)
class Line:
    """A curve of a chart.

    Attributes:
        name: in nnU-Net's log; empty for a constant.
        label: for the legend.
        colour: number in the palette; below 0 for grey, of what is no result.
        style: "solid", "dashed" or "dotted".
        constant: its value, if it is one.
        relative: whether it is shown relative to its first value.
        part: which one of the logged values, where a list is logged in every epoch.
    """

    name: str
    label: str
    colour: int
    style: str = "solid"
    constant: float | None = None
    relative: bool = False
    part: int | None = None


def both_phases(name: str, label: str, colour: int) -> tuple[Line, Line]:
    """A number of training and validation, the latter dashed."""
    return (
        Line(f"train_{name}", f"{label}, training", colour),
        Line(f"val_{name}", f"{label}, validation", colour, "dashed"),
    )


def of_every_level(name: str, num_levels: int, style: str = "solid", words: str = ""):
    """A logged number of every level, one line each."""
    return tuple(
        Line(of_level(name, level), f"level {level}{words}", level, style)
        for level in range(num_levels)
    )


@dataclass(frozen=True)
class Chart:
    """Curves on one axis.

    Attributes:
        title: what is shown, with its unit.
        lines: in the order of the legend.
        from_zero: whether the axis begins at 0.
        levels: whether colours stand for levels, low to high resolution.
        text: what a reader should know of it, in a sentence.
        axis: name of the vertical axis.
        compared: title where one curve per run is the mean of the levels; by default made of the
            title.
    """

    title: str
    lines: tuple[Line, ...]
    from_zero: bool = False
    levels: bool = False
    text: str = ""
    axis: str = ""
    compared: str = ""


@dataclass(frozen=True)
class Card:
    """A number to see first.

    Attributes:
        label: for a person.
        names: in nnU-Net's log; several are levels, of which one is chosen.
        choose: "max" or "min" of the levels.
        form: format of the number.
        text: what a reader should know of it, in a sentence.
        short: what the epoch's line calls it; empty to leave it out there.
    """

    label: str
    names: tuple[str, ...]
    choose: str = "max"
    form: str = ".4f"
    text: str = ""
    short: str = ""


LEARNING_RATE = Line("lrs", "learning rate", 0, relative=True)


@dataclass(frozen=True)
class Shown:
    """All that a run shows of itself besides what every training has (loss, time, rates).

    Attributes:
        series: that are logged.
        charts, cards: of them.
        schedules: what changes by plan, all in one chart; the learning rate first.
        loss: what a reader should know of the loss, in a sentence.
    """

    series: tuple[Series, ...] = ()
    charts: tuple[Chart, ...] = ()
    cards: tuple[Card, ...] = ()
    schedules: tuple[Line, ...] = (LEARNING_RATE,)
    loss: str = ""

    @property
    def log_names(self) -> list[str]:
        """Everything that is logged once per epoch."""
        return [name for series in self.series for name in series.log_names]

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss."""
        return tuple(series.name for series in self.series if series.is_term)

    def as_plain(self) -> dict[str, Any]:
        """For the record of a run."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Shown":
        """From the record of a run."""
        return cls(
            tuple(Series(**{**s, "phases": tuple(s["phases"])}) for s in plain["series"]),
            tuple(
                Chart(**{**chart, "lines": tuple(Line(**line) for line in chart["lines"])})
                for chart in plain["charts"]
            ),
            tuple(Card(**{**card, "names": tuple(card["names"])}) for card in plain["cards"]),
            tuple(Line(**line) for line in plain["schedules"]),
            plain["loss"],
        )


@dataclass(frozen=True)
class Column:
    """Images of one kind, e.g. the restoration from a level.

    Attributes:
        title: of the column.
        image: shape [C, (D,) H, W].
        errors: per channel, squared, in units of the channel's variance; none if it restores
            nothing.
    """

    title: str
    image: Tensor
    errors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """Numbers as a coloured table, e.g. true and predicted overlaps.

    Attributes:
        title: of the table.
        values: shape [rows, columns], in [0, 1].
        rows, columns: their names.
    """

    title: str
    values: Tensor
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Pictures:
    """What one image's views teach.

    Attributes:
        box: where the columns lie in the image.
        columns: of one size, at least the network's input.
        difference: absolute difference of two columns, same shape; None for none.
        matrices: tables beside them.
        window_of: number of the column whose range of values all columns are shown in.
        difference_title: of the difference.
        box_names: what boxes of views are called in tables, by kind, in the order of the draw;
            they are written into the source picture.
    """

    box: Box
    columns: tuple[Column, ...]
    difference: Tensor | None = None
    matrices: tuple[Matrix, ...] = ()
    window_of: int = 0
    difference_title: str = "|restoration - target|"
    box_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
