"""report.html: everything about one run, or several side by side, in a file of its own."""

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from nnunetv2_pcrl.monitoring.cards import numbers_of
from nnunetv2_pcrl.monitoring.charts import PROBE, PROBE_PER_CLASS, Plot, finished, last_finite
from nnunetv2_pcrl.monitoring.comparing import comparing_numbers, comparing_plots, losses_of
from nnunetv2_pcrl.monitoring.report_style import STYLE
from nnunetv2_pcrl.monitoring.report_tables import (
    columns,
    data_of,
    numbers_of_epochs,
    settings_of,
    table,
    time_of,
    timings_of,
)
from nnunetv2_pcrl.monitoring.runs import RecordedRun
from nnunetv2_pcrl.monitoring.svg import line_chart
from nnunetv2_pcrl.monitoring.verdict import verdict
from nnunetv2_pcrl.weights.atomic import replaced_atomically

REPORT_NAME = "report.html"


def write_report(runs: Sequence[RecordedRun], path: Path) -> None:
    """Writes the page: one run in full, or several side by side."""
    page = _page_of_one(runs[0]) if len(runs) == 1 else _page_of_several(runs)
    with replaced_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _page_of_one(run: RecordedRun) -> str:
    about = run.record["run"]
    return _page(
        f"{about['trainer']}: {about['data set']}",
        f"{run.record['method']} · {about['configuration']}, {about['plans']}, "
        f"fold {about['fold']} · {run.state}",
        [
            _verdict(run),
            _cards(run),
            _section("Curves", _charts(run.plots)),
            _pictures([run]),
            _section("Probe", _probe([run])),
            _section("How to use the weights", _command(run.record.get("usage"))),
            _section("Command that made the run", _command(run.record["command"])),
            _section("Cases", _cases(run)),
            _section("Timings", table(["", run.name], columns(timings_of, [run]))),
            _section("Data and network", table(["", run.name], columns(data_of, [run]))),
            _section("Settings", table(["", run.name], columns(settings_of, [run]))),
            _section("Numbers of every epoch", numbers_of_epochs(run)),
            _section("Citations", _citations([run])),
        ],
    )


def _page_of_several(runs: Sequence[RecordedRun]) -> str:
    head = ["", *(run.name for run in runs)]
    first = [["epochs", *(f"{run.epochs_done} / {run.record['num_epochs']}" for run in runs)]]
    plots = comparing_plots(runs)
    nothing = "" if plots else "<p>No two of these runs log the same numbers of the same data.</p>"
    return _page(
        f"{len(runs)} runs side by side",
        " · ".join(f"{run.name}: {run.state}" for run in runs),
        [
            *(_verdict(run, f"{run.name}: ") for run in runs),
            _section(
                "At the last epoch",
                table(head, [*first, *comparing_numbers(runs)])
                + '<p class="muted">Only numbers that mean the same are brought together: losses '
                "of the same terms and weights, everything else of the same method and data. The "
                "others are in the report of each run.</p>",
            ),
            _section("Curves", nothing or _charts(plots)),
            _pictures(runs),
            _section("Probe", _probe(runs)),
            _section("Timings", table(head, columns(timings_of, runs))),
            _section("Data and network", table(head, columns(data_of, runs))),
            _section("Settings", table(head, columns(settings_of, runs))),
            *(_section(f"Command: {run.name}", _command(run.record["command"])) for run in runs),
            *(_section(f"Cases: {run.name}", _cases(run)) for run in runs),
            *(_section(f"Every epoch: {run.name}", numbers_of_epochs(run)) for run in runs),
            *(
                _section(f"How to use the weights: {run.name}", _command(run.record.get("usage")))
                for run in runs
            ),
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


def _verdict(run: RecordedRun, name: str = "") -> str:
    """The sentence, and every warning where there are several."""
    warnings = run.record["warnings"]
    look = "warning" if warnings else ("good" if run.epochs_done else "muted")
    details = [
        f'<div class="warning"><b>{escape(f"{name}{kind}")}</b>: {escape(text)}</div>'
        for kind, text in warnings.items()
        if len(warnings) > 1
    ]
    return f'<p class="verdict {look}">{escape(name + verdict(run))}</p>{"".join(details)}'


def _cards(run: RecordedRun) -> str:
    cards = [("epochs", f"{run.epochs_done} / {run.record['num_epochs']}", "")]
    for number in (*losses_of(run), *numbers_of(run.shown, run.logged)):
        cards.append((number.card.label, number.text, number.card.text))
    cards.append(("time", time_of(run), ""))
    items = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span>'
        f"<small>{escape(text)}</small></div>"
        for label, value, text in cards
    )
    return f'<div class="cards">{items}</div>'


def _charts(plots: Sequence[Plot]) -> str:
    drawn = "".join(line_chart(plot) for plot in plots)
    return f'<div class="charts">{drawn}</div>' if drawn else "<p>No epoch is finished yet.</p>"


def _pictures(runs: Sequence[RecordedRun]) -> str:
    """Sections with the pictures that runs have, as drawn last, inside the page."""
    sections: dict[str, list[str]] = {}
    for run in runs:
        for name, title in run.record.get("pictures", {}).items():
            # Names come from a file: those of other folders are no pictures of this run.
            path = run.folder / Path(name).name
            if path.is_file():
                data = base64.b64encode(path.read_bytes()).decode()
                caption = f"<figcaption>{escape(run.name)}</figcaption>" if len(runs) > 1 else ""
                sections.setdefault(title, []).append(
                    f'<figure class="picture">{caption}<img alt="{escape(title)}" '
                    f'src="data:image/png;base64,{data}"></figure>'
                )
    return "".join(
        _section(title, f'<div class="pictures">{"".join(figures)}</div>')
        for title, figures in sections.items()
    )


def _probe(runs: Sequence[RecordedRun]) -> str:
    texts = []
    for run in runs:
        about = run.record.get("probe")
        score = last_finite(finished(run.logged, PROBE))
        if about is None or score is None:
            continue
        *_, per_class = (v for v in finished(run.logged, PROBE_PER_CLASS) if isinstance(v, list))
        values = ", ".join(
            f"{name} {'not sampled' if value != value else f'{value:.3f}'}"
            for name, value in zip(about["classes"], per_class, strict=True)
        )
        before = about.get("before_training")
        start = f" Before training it was {before:.3f}." if before is not None else ""
        name = f"{run.name}: " if len(runs) > 1 else ""
        texts.append(
            f"<p>{escape(name)}<b>{score:.3f}</b> ({escape(values)}).{start} "
            f'<span class="muted">Cases it was fitted to: {about["fitted"]}, '
            f"others it was scored on: {about['scored']}.</span></p>"
        )
    if not texts:
        return ""
    return (
        "".join(texts) + '<p class="muted">A linear classifier of voxels on the frozen features, '
        "with as many sampled voxels of each class: it shows whether features become useful for "
        "segmentation, and is no Dice of a segmentation. So few cases cannot rank pretrainings "
        "that differ by some hundredths: whether one helps, its fine-tuning says. Labels are read "
        "for this measurement only, never by the training.</p>"
    )


def _cases(run: RecordedRun) -> str:
    return "".join(
        f"<details><summary>{escape(phase)}: {len(cases)}</summary>"
        f'<p class="cases">{escape(", ".join(cases))}</p></details>'
        for phase, cases in run.record["cases"].items()
    )


def _command(text: str | None) -> str:
    return f"<pre>{escape(text)}</pre>" if text else ""


def _citations(runs: Sequence[RecordedRun]) -> str:
    texts = dict.fromkeys(text for run in runs for text in run.record["citations"])
    return "".join(f"<p>{escape(text)}</p>" for text in texts)
