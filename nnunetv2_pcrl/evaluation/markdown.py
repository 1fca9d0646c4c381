"""comparison.md: the tables that a person reads, and what their columns mean."""

import textwrap
from collections.abc import Sequence

from nnunetv2_pcrl.evaluation.write_up import WriteUp

WIDTH = 100
MISSING_TEXT = """\
## Missing runs

{count} runs are not finished. nnUNetv2_pcrl_experiment runs them, and the pretrainings that they
need; by hand, unless one of them is running now:

```
{commands}
```"""


def as_markdown(content: WriteUp) -> str:
    """The Markdown text."""
    parts = [f"# {content.title}"]
    if content.verdicts:
        parts.append("\n".join(textwrap.fill(sentence, WIDTH) for sentence in content.verdicts))
    # Names and paths are not broken.
    parts.append("\n".join(f"- {fact}" for fact in content.facts))
    for table in content.tables:
        parts += [f"## {table.title}", markdown_table(table.header, table.body), _list(table.notes)]
    if content.missing:
        commands = "\n".join(content.missing)
        parts.append(MISSING_TEXT.format(count=len(content.missing), commands=commands))
    return "\n\n".join(parts) + "\n"


def _list(notes: Sequence[str]) -> str:
    return "\n".join(
        textwrap.fill(note, WIDTH, initial_indent="- ", subsequent_indent="  ") for note in notes
    )


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table whose columns stand below one another, without a line break at its end."""
    # A label may have any name; a bar would begin another column.
    header = [cell.replace("|", "\\|") for cell in header]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (header, rule, *body)
    )
