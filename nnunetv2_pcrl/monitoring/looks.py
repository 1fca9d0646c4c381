"""Colours, marks and files that all pictures of a comparison share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnunetv2_pcrl.weights.atomic import replaced_atomically

# Okabe and Ito's colours, told apart by colour-blind people too; without yellow, too pale here.
TWIN_COLOUR = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
FORMATS = ("png", "svg")
# Inches.
LEGEND_LINE = 0.24


@dataclass(frozen=True)
class Look:
    """How a trainer is drawn."""

    name: str
    colour: str
    mark: str


def looks_of(names: Mapping[str, str], twin: str) -> dict[str, Look]:
    """Looks by trainer; the twin is black.

    Args:
        names: what each is called in the legend.
        twin: drawn as the reference.
    """
    others = [trainer for trainer in names if trainer != twin]
    return {
        twin: Look(names[twin], TWIN_COLOUR, MARKS[0]),
        **{
            trainer: Look(
                names[trainer], COLOURS[n % len(COLOURS)], MARKS[1 + n % (len(MARKS) - 1)]
            )
            for n, trainer in enumerate(others)
        },
    }


def tidy(ax: Axes) -> None:
    """A light grid, and no frame where there is no axis."""
    ax.grid(alpha=0.25)
    ax.tick_params(labelsize=10)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def add_title(figure: Figure, text: str, left: float, size: int, top: float = 0.12) -> None:
    """Above the axes, from the left.

    Args:
        figure: of its final height.
        text: the title, of one line or several.
        left: where it begins, as a part of the width.
        size: of the letters, in points.
        top: inches above it.
    """
    figure.suptitle(
        text,
        x=left,
        y=1 - top / figure.get_figheight(),
        ha="left",
        va="top",
        fontsize=size,
        fontweight="bold",
    )


def legend_height(looks: Sequence[Look], width: float) -> float:
    """Inches that the legend takes below the axes."""
    return LEGEND_LINE * (-(-len(looks) // _columns(looks, width)) + 0.6)


def add_legend(figure: Figure, looks: Sequence[Look], width: float) -> None:
    """Below the axes, so that it covers nothing."""
    handles = [
        Line2D([], [], color=look.colour, marker=look.mark, label=look.name) for look in looks
    ]
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=_columns(looks, width),
        fontsize=10,
        frameon=False,
        borderaxespad=0.2,
    )


def _columns(looks: Sequence[Look], width: float) -> int:
    longest = max(len(look.name) for look in looks)
    return max(1, min(len(looks), int(width / (0.085 * longest + 0.7))))


def paths_of(folder: Path, name: str) -> list[Path]:
    """Files of a picture."""
    return [folder / f"{name}.{ending}" for ending in FORMATS]


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes the picture in all formats, equal for equal numbers; the paths."""
    paths = paths_of(folder, name)
    for path in paths:
        # Without these, SVG files differ in every call.
        with rc_context({"svg.hashsalt": name}), replaced_atomically(path) as temporary:
            ending = path.suffix[1:]
            metadata = {"Date": None} if ending == "svg" else None
            figure.savefig(temporary, format=ending, dpi=110, metadata=metadata)
    return paths
