"""The legend of a picture of cases: colours and names, in as many lines as they need."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

# Inches.
LEGEND_LINE = 0.22


def legend_lines(
    entries: Sequence[tuple[str, str]], width: float
) -> list[list[tuple[float, str, str]]]:
    """Lines of entries, each with its place from the left, colour and name.

    Args:
        entries: colours and names.
        width: of the picture, in inches.
    """
    lines: list[list[tuple[float, str, str]]] = [[]]
    x = 0.1
    for colour, name in entries:
        name = shortened(name, 40)
        length = 0.55 + 0.078 * len(name)
        if lines[-1] and x + length > width:
            lines.append([])
            x = 0.1
        lines[-1].append((x, colour, name))
        x += length
    return lines


def draw_legend(ax: Axes, lines: Sequence[Sequence[tuple[float, str, str]]], top: float) -> None:
    """Draws what `legend_lines` made, on black as in the pictures.

    Args:
        ax: in inches, from the top.
        lines: of the legend.
        top: of the middle of the first line.
    """
    for number, line in enumerate(lines):
        y = top + LEGEND_LINE * number
        for x, colour, name in line:
            ax.add_patch(Rectangle((x, y - 0.06), 0.28, 0.12, color="black", linewidth=0))
            ax.plot([x + 0.03, x + 0.25], [y, y], color=colour, linewidth=2)
            ax.text(x + 0.34, y, name, fontsize=9, va="center")


def shortened(text: str, longest: int) -> str:
    """A text without its middle, if it is longer than that many letters."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[len(text) - (longest - longest // 2 - 1) :]}"
