"""report.html: everything about one run, or several side by side, in a file of its own."""

import base64
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.monitoring.charts import (
    Chart,
    comparing_charts,
    epoch_seconds,
    finished,
)
from nnunetv2_pcrl.monitoring.epoch_line import hours_and_minutes
from nnunetv2_pcrl.monitoring.log_names import PROBE, RESTORATION_ERROR, of_level
from nnunetv2_pcrl.monitoring.report_style import STYLE
from nnunetv2_pcrl.monitoring.runs import Run, charts_of, state_of
from nnunetv2_pcrl.monitoring.svg import line_chart
from nnunetv2_pcrl.weights.atomic import replaced_atomically

REPORT_NAME = "report.html"
PICTURE = "restorations.png"


def write_report(runs: Sequence[Run], path: Path) -> None:
    """Writes the page: one run in full, or several side by side."""
    page = _page_of_one(runs[0]) if len(runs) == 1 else _page_of_several(runs)
    with replaced_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _page_of_one(run: Run) -> str:
    about = run.record["run"]
    return _page(
        f"{about['trainer']}: {about['data set']}",
        f"{about['configuration']}, {about['plans']}, fold {about['fold']} · {state_of(run)}",
        [
            _cards(run),
            *_warnings([run]),
            _section("Curves", _charts(charts_of(run))),
            _section("Restorations", _pictures([run])),
            _section("Probe", _probe([run])),
            _section("Timings", _table(["", run.name], _columns(_timings, [run]))),
            _section("Data and network", _table(["", run.name], _columns(_data, [run]))),
            _section("Settings", _table(["", run.name], _columns(_settings, [run]))),
            _section("Numbers of every epoch", _numbers(run)),
            _section("How to use the weights", _usage(run)),
            _section("Citations", _citations([run])),
        ],
    )


def _page_of_several(runs: Sequence[Run]) -> str:
    head = ["", *(run.name for run in runs)]
    compared = [(run.name, run.logged, run.record.get("num_levels", 0)) for run in runs]
    return _page(
        f"{len(runs)} runs side by side",
        " · ".join(f"{run.name}: {state_of(run)}" for run in runs),
        [
            _section("At the last epoch", _table(head, _columns(_last_numbers, runs))),
            *_warnings(runs),
            _section("Curves", _charts(comparing_charts(compared))),
            _section("Restorations", _pictures(runs)),
            _section("Probe", _probe(runs)),
            _section("Timings", _table(head, _columns(_timings, runs))),
            _section("Data and network", _table(head, _columns(_data, runs))),
            _section("Settings", _table(head, _columns(_settings, runs))),
            *(_section(f"Every epoch: {run.name}", _numbers(run)) for run in runs),
            *(_section(f"How to use the weights: {run.name}", _usage(run)) for run in runs),
            _section("Citations", _citations(runs)),
        ],
    )


def _page(title: str, subtitle: str, sections: Iterable[str]) -> str:
    made = f"{datetime.now():%Y-%m-%d %H:%M}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="muted">{escape(subtitle)} · report of {made}</p>'
        f"{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _cards(run: Run) -> str:
    items = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in _last_numbers(run).items()
    )
    return f'<div class="cards">{items}</div>'


def _last_numbers(run: Run) -> dict[str, str]:
    """What to see first."""
    logged = run.logged
    restores = run.record.get("settings", {}).get("restoration_weight", 1)
    error = finished(logged, f"val_{RESTORATION_ERROR}") if restores else ()
    numbers = {
        "epochs": f"{run.epochs_done} / {run.record['num_epochs']}",
        "training loss": _last(finished(logged, "train_losses")),
        "validation loss": _last(finished(logged, "val_losses")),
        "best validation loss": _best(finished(logged, "val_losses")),
        "restoration error / variance": _last(error, ".4f"),
        "retrieval, best level": _best_level(run, "retrieval"),
        "lowest z_std of the levels": _best_level(run, "z_std", min),
        "probe (Dice-like)": _last(finished(logged, PROBE), ".3f"),
        "pseudo Dice, moving average": _last(finished(logged, "ema_fg_dice"), ".3f"),
        "time": hours_and_minutes(sum(v for v in epoch_seconds(logged) if math.isfinite(v))),
    }
    return {name: value for name, value in numbers.items() if value}


def _last(values: Sequence[float], form: str = ".4f") -> str:
    """The last finite value, or nothing."""
    finite = [value for value in values if math.isfinite(value)]
    return format(finite[-1], form) if finite else ""


def _best(values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    return format(min(finite), ".4f") if finite else ""


def _best_level(run: Run, name: str, choose=max) -> str:
    levels = range(run.record.get("num_levels", 0))
    lasts = [_last(finished(run.logged, of_level(f"val_{name}", n)), ".3f") for n in levels]
    return choose(filter(None, lasts), default="")


def _warnings(runs: Sequence[Run]) -> list[str]:
    return [
        f'<div class="warning">{escape(f"{run.name}: " if len(runs) > 1 else "")}'
        f"{escape(text)}</div>"
        for run in runs
        for text in run.record.get("warnings", [])
    ]


def _charts(charts: Sequence[Chart]) -> str:
    drawn = "".join(line_chart(chart) for chart in charts)
    return f'<div class="charts">{drawn}</div>' if drawn else "<p>No epoch is finished yet.</p>"


def _pictures(runs: Sequence[Run]) -> str:
    """Restorations as drawn last, inside the page."""
    figures = []
    for run in runs:
        path = run.folder / PICTURE
        if not path.is_file():
            continue
        data = base64.b64encode(path.read_bytes()).decode()
        caption = f"<figcaption>{escape(run.name)}</figcaption>" if len(runs) > 1 else ""
        figures.append(
            f'<figure class="picture">{caption}<img alt="Restorations of fixed validation crops" '
            f'src="data:image/png;base64,{data}"></figure>'
        )
    return f'<div class="pictures">{"".join(figures)}</div>' if figures else ""


def _probe(runs: Sequence[Run]) -> str:
    texts = []
    for run in runs:
        about = run.record.get("probe")
        score = _last(finished(run.logged, PROBE), ".3f")
        if about is None or not score:
            continue
        classes = about["classes"]
        per_class = [v for v in run.logged[f"{PROBE}_per_class"] if isinstance(v, list)][-1]
        values = ", ".join(f"{n} {v:.3f}" for n, v in zip(classes, per_class, strict=False))
        before = about.get("before_training")
        start = f" Before training it was {before:.3f}." if before is not None else ""
        name = f"{run.name}: " if len(runs) > 1 else ""
        texts.append(
            f"<p>{escape(name)}<b>{score}</b> ({escape(values)}).{start} "
            f'<span class="muted">Cases it was fitted to: {about["fitted"]}, '
            f"others it was scored on: {about['scored']}.</span></p>"
        )
    if not texts:
        return ""
    return (
        "".join(texts) + '<p class="muted">A linear classifier of voxels on the frozen features, '
        "with as many sampled voxels of each class: it shows whether features become useful for "
        "segmentation, and is no Dice of a segmentation. Labels are read for this measurement "
        "only, never by the training.</p>"
    )


def _columns(rows_of, runs: Sequence[Run]) -> list[list[str]]:
    """Rows of a table with one column per run."""
    columns = [rows_of(run) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    return [[name, *(column.get(name, "") for column in columns)] for name in names]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    # A single run needs no heading over its only column.
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in head) if len(head) > 2 else ""
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="table"><table><thead><tr>{heading}</tr></thead>{body}</table></div>'


def _timings(run: Run) -> dict[str, str]:
    seconds = [value for value in epoch_seconds(run.logged) if math.isfinite(value)]
    if not seconds:
        return {}
    left = (run.record["num_epochs"] - run.epochs_done) * sum(seconds[-3:]) / len(seconds[-3:])
    begun = run.logged["epoch_start_timestamps"][0]
    waited = _last(finished(run.logged, "data_wait_share"), ".0%")
    rows = {
        "begun": f"{datetime.fromtimestamp(begun):%Y-%m-%d %H:%M}",
        "all epochs": hours_and_minutes(sum(seconds)),
        "last epoch": f"{seconds[-1]:.1f} s",
        "left at this speed": hours_and_minutes(left) if left > 0 else "",
        "images per second": _last(finished(run.logged, "images_per_second"), ".2f"),
        "waiting for views": waited,
        "monitoring": run.record.get("monitoring_cost", ""),
    }
    return {name: value for name, value in rows.items() if value}


def _data(run: Run) -> dict[str, str]:
    return {
        name: _plain(value) for name, value in {**run.record["run"], **run.record["data"]}.items()
    }


def _settings(run: Run) -> dict[str, str]:
    return {name: _plain(value) for name, value in run.record["settings"].items()}


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _numbers(run: Run) -> str:
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


def _usage(run: Run) -> str:
    usage = run.record.get("usage")
    return f"<pre>{escape(usage)}</pre>" if usage else ""


def _citations(runs: Sequence[Run]) -> str:
    texts = dict.fromkeys(text for run in runs for text in run.record.get("citations", []))
    return "".join(f"<p>{escape(text)}</p>" for text in texts)
