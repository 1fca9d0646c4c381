"""restorations.npz: the pictures of restorations as numbers, to be drawn again in any format."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.weights.atomic import replaced_atomically

PANELS_NAME = "restorations.npz"


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: of its column.
        image: shape [h, w].
        aspect: height over width of a pixel.
        error: squared error in units of the variance, if it is a restoration.
    """

    title: str
    image: np.ndarray
    aspect: float
    error: float | None = None


@dataclass(frozen=True)
class Rectangle:
    """The box of a view in the source picture.

    Attributes:
        kind: "first", "second" or "local".
        start, size: in pixels, rows first.
        is_cut: whether the shown slice passes the box.
    """

    kind: str
    start: tuple[int, int]
    size: tuple[int, int]
    is_cut: bool


@dataclass(frozen=True)
class PanelRow:
    """Pictures of one plane and channel of an example.

    Attributes:
        label: lines of text: case, plane, channel.
        window: lowest and highest shown value of all pictures but the difference.
        source: slice of the image.
        rectangles: on the source.
        panels: input, target, restorations.
        difference: of full restoration and target, absolute; shown from 0 to half the window.
    """

    label: tuple[str, ...]
    window: tuple[float, float]
    source: Panel
    rectangles: tuple[Rectangle, ...]
    panels: tuple[Panel, ...]
    difference: Panel

    @property
    def columns(self) -> tuple[Panel, ...]:
        """All pictures, left to right."""
        return (self.source, *self.panels, self.difference)


def write_panels(folder: str | os.PathLike, rows: Sequence[PanelRow], epoch: int) -> None:
    """Writes the rows, and after how many epochs they were made."""
    images, about = {}, []
    for number, row in enumerate(rows):
        for column, panel in enumerate(row.columns):
            images[f"{number}_{column}"] = panel.image.astype(np.float32)
        about.append(
            {
                "label": row.label,
                "window": row.window,
                "columns": [(p.title, p.aspect, p.error) for p in row.columns],
                "rectangles": [asdict(rectangle) for rectangle in row.rectangles],
            }
        )
    text = json.dumps({"epoch": epoch, "rows": about})
    with replaced_atomically(Path(folder) / PANELS_NAME) as temporary, open(temporary, "wb") as f:
        np.savez_compressed(f, about=np.array(text), **images)


def read_panels(folder: str | os.PathLike) -> tuple[list[PanelRow], int]:
    """Reads what `write_panels` wrote.

    Raises:
        ValueError: if there is no such file.
    """
    path = Path(folder) / PANELS_NAME
    if not path.is_file():
        raise ValueError(f"There is no {PANELS_NAME} in {folder}: no restorations were drawn yet")
    with np.load(path, allow_pickle=False) as stored:
        about = json.loads(str(stored["about"]))
        rows = []
        for number, row in enumerate(about["rows"]):
            source, *panels, difference = (
                Panel(title, stored[f"{number}_{column}"], aspect, error)
                for column, (title, aspect, error) in enumerate(row["columns"])
            )
            rectangles = tuple(
                Rectangle(r["kind"], tuple(r["start"]), tuple(r["size"]), r["is_cut"])
                for r in row["rectangles"]
            )
            rows.append(
                PanelRow(
                    tuple(row["label"]),
                    tuple(row["window"]),
                    source,
                    rectangles,
                    tuple(panels),
                    difference,
                )
            )
    return rows, about["epoch"]
