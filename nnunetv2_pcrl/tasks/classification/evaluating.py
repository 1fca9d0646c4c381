"""summary.json and report.html of predictions whose truth is known."""

import base64
import io
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.datasets.raw import write_json
from nnunetv2_pcrl.monitoring.report_style import STYLE
from nnunetv2_pcrl.tasks.classification.curves import draw_curves
from nnunetv2_pcrl.tasks.classification.pictures import Pictures
from nnunetv2_pcrl.tasks.classification.wrong_cases import draw_most_wrong, most_wrong
from nnunetv2_pcrl.tasks.encoder.scores import METRICS, ClassScore, Scores, scores_of
from nnunetv2_pcrl.weights.atomic import replaced_atomically

SUMMARY_NAME, PAGE_NAME = "summary.json", "report.html"
TITLES = {"auroc": "AUROC", "average_precision": "average precision"}
_EXPLANATION = """\
AUROC: chance that a positive case scores higher than a negative one, 0.5 for guessing. Average
precision: mean precision over the recall, the share of positive cases for guessing. In brackets
95 % bootstrap intervals over patients. They hold for these predictions: another training differs
too. Calibration: the share of positive cases where so much was predicted, in at most ten groups of
equal size; bars show how often."""


@dataclass(frozen=True)
class Further:
    """What a task says beyond its classes.

    Attributes:
        title: of the report.
        counted: what was predicted, with {num_cases} and {num_patients}.
        cards: first in the report, text by title.
        summary: entries of the summary.
        figures: first in the report, by title.
    """

    title: str = "Classification"
    counted: str = "{num_cases} cases of {num_patients} patients"
    cards: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)


NOTHING_FURTHER = Further()


def write_evaluation(
    folder: Path,
    table: ClassTable,
    predicted: np.ndarray,
    pictures: Pictures,
    about: Mapping[str, Any],
    further: Further = NOTHING_FURTHER,
) -> Scores:
    """Writes scores and report into a folder that is there.

    Args:
        folder: for summary.json and report.html.
        table: the truth.
        predicted: probabilities, shape [N, K].
        pictures: of the cases.
        about: what a reader should know of the predictions, for both files.
        further: what else there is to say.
    """
    scores = scores_of(table, predicted)
    lists = Counter(name or "none" for name in table.lists)
    facts = {
        **about,
        "kind": table.kind,
        "cases of official list": dict(sorted(lists.items())) if set(lists) != {"none"} else None,
    }
    facts = {name: value for name, value in facts.items() if value is not None}
    write_json(folder / SUMMARY_NAME, {**scores.as_plain(), **further.summary, "about": facts})
    wrong = draw_most_wrong(most_wrong(table, predicted), pictures)
    figures = {
        **further.figures,
        "Curves": draw_curves(table, predicted, scores),
        "Most wrong cases": wrong,
    }
    with replaced_atomically(folder / PAGE_NAME) as temporary:
        temporary.write_text(_page(scores, facts, figures, further), encoding="utf-8")
    return scores


def scores_in_words(scores: Scores) -> list[str]:
    """Lines for a log or a terminal."""
    lines = [f"{'class':<24}{'positive':>9}{'negative':>9}  {'AUROC':<24}average precision"]
    for score in (*scores.classes, scores.mean):
        cells = [_cell(score, metric) for metric in METRICS]
        named = f"{score.name:<24}{score.num_positive:>9}{score.num_negative:>9}  "
        lines.append(named + (score.undefined or f"{cells[0]:<24}{cells[1]}"))
    return lines


def _cell(score: ClassScore, metric: str) -> str:
    value, (low, high) = score.values[metric], score.intervals[metric]
    if math.isnan(value):
        return "not defined"
    return f"{value:.3f}" + ("" if math.isnan(low) else f" ({low:.3f} to {high:.3f})")


def _page(
    scores: Scores,
    facts: Mapping[str, Any],
    figures: Mapping[str, Figure | None],
    further: Further,
) -> str:
    counted = further.counted.format(num_cases=scores.num_cases, num_patients=scores.num_patients)
    cards = {
        **further.cards,
        **{f"mean {title}": _cell(scores.mean, metric) for metric, title in TITLES.items()},
    }
    parts = [
        f"<h1>{escape(further.title)}</h1>",
        f'<p class="muted">{escape(counted)}</p>',
        '<div class="cards">',
        *(
            f'<div class="card"><b>{escape(text)}</b><span>{escape(title)}</span></div>'
            for title, text in cards.items()
        ),
        "</div>",
        "<h2>Classes</h2>",
        _table_of_classes(scores),
        f"<p>{escape(_EXPLANATION)}</p>",
    ]
    for title, figure in figures.items():
        if figure is not None:
            parts.append(f"<h2>{title}</h2>{_picture(figure, title)}")
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(_in_words(value))}</td></tr>"
        for name, value in facts.items()
    )
    parts.append(f'<h2>About</h2><div class="table"><table>{rows}</table></div>')
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(further.title)}</title><style>{STYLE}</style></head><body><main>"
        f"{''.join(parts)}</main></body></html>"
    )


def _table_of_classes(scores: Scores) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("class", "positive", "negative", *TITLES.values())
    )
    rows = []
    for score in (*scores.classes, scores.mean):
        cells = "".join(f"<td>{_cell(score, metric)}</td>" for metric in METRICS)
        if score.undefined:
            cells = f'<td colspan="2">not defined: {escape(score.undefined)}</td>'
        rows.append(
            f"<tr><td>{escape(score.name)}</td><td>{score.num_positive}</td>"
            f"<td>{score.num_negative}</td>{cells}</tr>"
        )
    return f'<div class="table"><table><thead><tr>{head}</tr></thead>{"".join(rows)}</table></div>'


def _picture(figure: Figure, title: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure class="picture"><img alt="{escape(title)}" '
        f'src="data:image/png;base64,{encoded}"></figure>'
    )


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
