"""comparison.html: tables, figures and pictures in one file that needs no other."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nnunetv2_pcrl.evaluation.write_up import Table, WriteUp
from nnunetv2_pcrl.monitoring.report_style import STYLE

TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
# Beside the look that it shares with the report of a training.
OWN_STYLE = """
.results td, .results th { text-align: right; white-space: nowrap; width: auto;
  font-variant-numeric: tabular-nums; }
.results td:nth-child(-n+2), .results th:nth-child(-n+2) { text-align: left; }
.results td:first-child { width: auto; }
.verdict { font-size: 1.05rem; font-weight: 600; max-width: 90ch; }
.facts { padding-left: 1.2em; max-width: 100ch; overflow-wrap: anywhere; }
.notes { color: var(--muted); font-size: 0.88rem; padding-left: 1.2em; max-width: 100ch; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.picture { margin-bottom: 14px; }
.picture img { width: auto; min-width: 0; max-width: 100%; }
@media (max-width: 700px) { .picture img { width: 900px; max-width: none; } }
"""


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        title: above it.
        path: PNG or SVG file.
        text: what it shows, for those who cannot see it.
    """

    title: str
    path: Path
    text: str


def as_page(content: WriteUp, pictures: Sequence[Picture]) -> str:
    """The page.

    Args:
        content: what is said.
        pictures: in their order, with everything that is in their files.
    """
    title = escape(content.title)
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{OWN_STYLE}</style></head><body><main><h1>{title}</h1>"
    ]
    parts += [f'<p class="verdict">{escape(sentence)}</p>' for sentence in content.verdicts]
    parts.append(_list(content.facts, "facts"))
    parts += [_table(table) for table in content.tables]
    parts += [_figure(picture) for picture in pictures]
    if content.missing:
        commands = escape("\n".join(content.missing))
        parts.append(
            f"<h2>Missing runs</h2><p>{len(content.missing)} runs are not finished. "
            f"nnUNetv2_pcrl_experiment runs them, and the pretrainings that they need; by hand, "
            f"unless one of them is running now:</p><pre>{commands}</pre>"
        )
    return "\n".join([*parts, "</main></body></html>\n"])


def _list(items: Sequence[str], name: str) -> str:
    lines = "".join(f"<li{_warning(item)}>{escape(item)}</li>" for item in items)
    return f'<ul class="{name}">{lines}</ul>'


def _warning(text: str) -> str:
    return ' class="warning"' if "WARNING" in text else ""


def _table(table: Table) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.body
    )
    return (
        f'<h2>{escape(table.title)}</h2><div class="table results"><table><thead><tr>{header}'
        f"</tr></thead><tbody>{body}</tbody></table></div>{_list(table.notes, 'notes')}"
    )


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    return (
        f"<h2>{escape(picture.title)}</h2>"
        f'<figure class="picture"><img loading="lazy" alt="{escape(picture.text)}" '
        f'src="data:{TYPES[picture.path.suffix]};base64,{data}"></figure>'
    )
