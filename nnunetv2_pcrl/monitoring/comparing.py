"""Several runs side by side: only numbers that mean the same are brought together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nnunetv2_pcrl.monitoring.cards import Number, number_of, numbers_of
from nnunetv2_pcrl.monitoring.charts import (
    LOSS,
    PROBE_CHART,
    Curve,
    Plot,
    charts_of_run,
    curve_of,
    has_values,
    last_finite,
)
from nnunetv2_pcrl.monitoring.runs import RecordedRun
from nnunetv2_pcrl.monitoring.vocabulary import Card, Chart

VALIDATION_LOSS = Card(
    "validation loss", ("val_losses",), text="Lower is better, of runs with the same loss."
)
TRAINING_LOSS = Card("training loss", ("train_losses",))


@dataclass(frozen=True)
class _Quantity:
    """One curve of one run.

    Attributes:
        chart: of all runs that have it.
        key: runs of equal keys can be compared.
        values: one per epoch.
    """

    chart: Chart
    key: tuple
    values: tuple[float, ...]


def comparing_plots(runs: Sequence[RecordedRun]) -> list[Plot]:
    """Charts with one curve per run; none of what only one run has."""
    found: dict[tuple, list[tuple[int, _Quantity]]] = {}
    for number, run in enumerate(runs):
        for quantity in _quantities(run) if run.epochs_done else ():
            if last_finite(quantity.values) is None:
                continue
            found.setdefault((quantity.chart.title, *quantity.key), []).append((number, quantity))
    made = [
        Plot(
            members[0][1].chart,
            tuple(Curve(runs[n].name, quantity.values, n) for n, quantity in members),
        )
        for members in found.values()
        if len(members) > 1
    ]
    return [plot for plot in made if has_values(plot)]


def _quantities(run: RecordedRun) -> Iterator[_Quantity]:
    for chart in charts_of_run(run.shown):
        names = {line.name for line in chart.lines}
        # Grey curves say by how much others could be better; they are no result.
        lines = [line for line in chart.lines if line.colour >= 0 and line.constant is None]
        if chart.levels:
            curves = [curve_of(line, run.logged) for line in lines if line.style == "solid"]
            own = _alone(chart, chart.compared or f"{chart.title}, mean of the levels")
            yield _Quantity(own, _key(run, chart), _mean([curve.values for curve in curves]))
            continue
        for line in lines:
            other = line.name.replace("train_", "val_", 1)
            if line not in LOSS and line.name != other and other in names:
                # The validation's, on the same views in every epoch, tells runs apart better.
                continue
            title = chart.title if len(lines) == 1 else f"{chart.title}: {line.label}"
            curve = curve_of(line, run.logged)
            yield _Quantity(_alone(chart, title), _key(run, chart), curve.values)


def _alone(chart: Chart, title: str) -> Chart:
    return Chart(title, (), chart.from_zero, text=chart.text, axis=chart.axis)


def _key(run: RecordedRun, chart: Chart) -> tuple:
    names = {line.name for line in chart.lines}
    if chart is PROBE_CHART:
        # Whatever the method: the same linear classifier on the same images.
        return (*run.data, str(run.record["run"]["fold"]))
    if names & {"train_losses", "train_gradient_norm"}:
        return (*run.likeness, *run.loss)
    if names & {"images_per_second", "epoch_seconds", "data_wait_share"}:
        return (*run.likeness, run.record["run"]["device"])
    return run.likeness


def _mean(series: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Mean of the finite values of every epoch."""
    means = []
    for values in zip(*series, strict=True):
        finite = [value for value in values if math.isfinite(value)]
        means.append(sum(finite) / len(finite) if finite else math.nan)
    return tuple(means)


def losses_of(run: RecordedRun) -> list[Number]:
    """Training, validation and best validation loss, as far as there are any."""
    found = [number_of(card, run.logged) for card in (TRAINING_LOSS, VALIDATION_LOSS)]
    validation = curve_of(LOSS[1], run.logged).values
    if last_finite(validation) is not None:
        best = min(value for value in validation if math.isfinite(value))
        found.append(Number(Card("best validation loss", ("val_losses",), "min"), best))
    return [number for number in found if number is not None]


def comparing_numbers(runs: Sequence[RecordedRun]) -> list[list[str]]:
    """Rows of a table: what a number is, and its value in each run; unlike runs have own rows."""
    rows: dict[tuple, list[str]] = {}
    for number, run in enumerate(runs):
        keyed = [(one, (*run.likeness, *run.loss)) for one in losses_of(run)]
        for one in numbers_of(run.shown, run.logged):
            is_probe = PROBE_CHART.lines[0].name in one.card.names
            keyed.append((one, _key(run, PROBE_CHART) if is_probe else run.likeness))
        for one, key in keyed:
            row = rows.setdefault((one.card.label, *key), [one.card.label, *[""] * len(runs)])
            row[number + 1] = one.text
    return [row for row in rows.values() if sum(map(bool, row[1:])) > 1]
