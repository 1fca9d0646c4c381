"""The report's tables: timings, data, settings, and the numbers of every epoch."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from typing import Any

from nnunetv2_pcrl.monitoring.charts import epoch_seconds, finished, last_finite
from nnunetv2_pcrl.monitoring.epoch_line import hours_and_minutes
from nnunetv2_pcrl.monitoring.runs import RecordedRun


def columns(
    rows_of: Callable[[RecordedRun], dict[str, str]], runs: Sequence[RecordedRun]
) -> list[list[str]]:
    """Rows of a table with one column per run."""
    made = [rows_of(run) for run in runs]
    names = dict.fromkeys(name for column in made for name in column)
    return [[name, *(column.get(name, "") for column in made)] for name in names]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in HTML; nothing without rows."""
    if not rows:
        return ""
    # A single run needs no heading over its only column.
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in head) if len(head) > 2 else ""
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="table"><table><thead><tr>{heading}</tr></thead>{body}</table></div>'


def time_of(run: RecordedRun) -> str:
    """Of all epochs together."""
    return hours_and_minutes(sum(v for v in epoch_seconds(run.logged) if math.isfinite(v)))


def timings_of(run: RecordedRun) -> dict[str, str]:
    """Where the time went."""
    seconds = [value for value in epoch_seconds(run.logged) if math.isfinite(value)]
    if not seconds:
        return {}
    left = (run.record["num_epochs"] - run.epochs_done) * sum(seconds[-3:]) / len(seconds[-3:])
    begun = run.logged["epoch_start_timestamps"][0]
    images = last_finite(finished(run.logged, "images_per_second"))
    waited = last_finite(finished(run.logged, "data_wait_share"))
    rows = {
        "begun": f"{datetime.fromtimestamp(begun):%Y-%m-%d %H:%M}",
        "all epochs": hours_and_minutes(sum(seconds)),
        "last epoch": f"{seconds[-1]:.1f} s",
        "left at this speed": hours_and_minutes(left) if left > 0 else "",
        "images per second": "" if images is None else f"{images:.2f}",
        "waiting for views": "" if waited is None else f"{waited:.0%}",
        "monitoring": run.record.get("monitoring_cost", ""),
    }
    return {name: value for name, value in rows.items() if value}


def data_of(run: RecordedRun) -> dict[str, str]:
    """What was trained on, and what."""
    return {n: _plain(value) for n, value in {**run.record["run"], **run.record["data"]}.items()}


def settings_of(run: RecordedRun) -> dict[str, str]:
    """By name."""
    return {name: _plain(value) for name, value in run.record["settings"].items()}


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def numbers_of_epochs(run: RecordedRun) -> str:
    """Every logged number of every epoch."""
    names = [
        name
        for name, values in run.logged.items()
        if not name.endswith("timestamps")
        and any(isinstance(v, float | int) and math.isfinite(v) for v in values)
    ]
    if not run.epochs_done:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("epoch", *names))
    rows = "".join(
        f"<tr><td>{epoch + 1}</td>"
        + "".join(f"<td>{_cell(run.logged[name], epoch)}</td>" for name in names)
        + "</tr>"
        for epoch in range(run.epochs_done)
    )
    return (
        "<details><summary>Show the table</summary>"
        f'<div class="table numbers"><table><thead><tr>{head}</tr></thead>{rows}</table></div>'
        "</details>"
    )


def _cell(values: Sequence[float], epoch: int) -> str:
    value = values[epoch] if epoch < len(values) else math.nan
    if not isinstance(value, float | int) or not math.isfinite(value):
        return ""
    return f"{value:.6g}"
