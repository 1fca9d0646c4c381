"""pictures.npz: the pictures of what is learned as numbers, to be drawn again in any format."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.weights.atomic import replaced_atomically

PANELS_NAME = "pictures.npz"


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: of its column.
        image: shape [h, w], or [h, w, 3] for red, green and blue.
        aspect: height over width of a pixel.
        error: squared error in units of the variance, if it is a restoration.
    """

    title: str
    image: np.ndarray
    aspect: float
    error: float | None = None


@dataclass(frozen=True)
class MatrixPanel:
    """A coloured table.

    Attributes:
        title: of the table.
        values: shape [rows, columns], in [0, 1].
        rows, columns: their names.
    """

    title: str
    values: np.ndarray
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Rectangle:
    """The box of a view in the source picture.

    Attributes:
        kind: of view, for a person.
        start, size: in pixels, rows first.
        is_cut: whether the shown slice passes the box.
        name: of the view, to be found in a table; empty for none.
    """

    kind: str
    start: tuple[int, int]
    size: tuple[int, int]
    is_cut: bool
    name: str = ""


@dataclass(frozen=True)
class PanelRow:
    """Pictures of one plane and channel of an example.

    Attributes:
        case: its identifier.
        label: lines of text: plane, directions, channel.
        window: lowest and highest shown value of the panels.
        source: slice of the image.
        source_window: lowest and highest shown value of the source.
        rectangles: on the source.
        panels: e.g. input, target, restorations.
        difference: absolute, shown from 0 to half the window; None for none.
        matrices: tables beside the pictures.
    """

    case: str
    label: tuple[str, ...]
    window: tuple[float, float]
    source: Panel
    source_window: tuple[float, float]
    rectangles: tuple[Rectangle, ...]
    panels: tuple[Panel, ...]
    difference: Panel | None = None
    matrices: tuple[MatrixPanel, ...] = ()

    @property
    def columns(self) -> tuple[Panel, ...]:
        """All pictures, left to right."""
        last = () if self.difference is None else (self.difference,)
        return (self.source, *self.panels, *last)


def write_panels(folder: str | os.PathLike, rows: Sequence[PanelRow], epoch: int) -> None:
    """Writes the rows, and after how many epochs they were made."""
    images, about = {}, []
    for number, row in enumerate(rows):
        for column, panel in enumerate(row.columns):
            images[f"{number}_{column}"] = panel.image.astype(np.float32)
        for place, matrix in enumerate(row.matrices):
            images[f"{number}_matrix_{place}"] = matrix.values.astype(np.float32)
        about.append(
            {
                "case": row.case,
                "label": row.label,
                "window": row.window,
                "source_window": row.source_window,
                "columns": [(p.title, p.aspect, p.error) for p in row.columns],
                "has_difference": row.difference is not None,
                "rectangles": [asdict(rectangle) for rectangle in row.rectangles],
                "matrices": [(m.title, m.rows, m.columns) for m in row.matrices],
            }
        )
    text = json.dumps({"epoch": epoch, "rows": about})
    with replaced_atomically(Path(folder) / PANELS_NAME) as temporary, open(temporary, "wb") as f:
        np.savez_compressed(f, allow_pickle=True, about=np.array(text), **images)


def read_panels(folder: str | os.PathLike) -> tuple[list[PanelRow], int]:
    """Reads what `write_panels` wrote.

    Raises:
        ValueError: if there is no such file.
    """
    path = Path(folder) / PANELS_NAME
    if not path.is_file():
        raise ValueError(f"There is no {PANELS_NAME} in {folder}: no pictures were drawn yet")
    with np.load(path, allow_pickle=False) as stored:
        about = json.loads(str(stored["about"]))
        rows = [_read_row(stored, number, row) for number, row in enumerate(about["rows"])]
    return rows, about["epoch"]


def _read_row(stored: np.lib.npyio.NpzFile, number: int, row: dict) -> PanelRow:
    source, *panels = (
        Panel(title, stored[f"{number}_{column}"], aspect, error)
        for column, (title, aspect, error) in enumerate(row["columns"])
    )
    difference = panels.pop() if row["has_difference"] else None
    return PanelRow(
        row["case"],
        tuple(row["label"]),
        tuple(row["window"]),
        source,
        tuple(row["source_window"]),
        tuple(
            Rectangle(**{**r, "start": tuple(r["start"]), "size": tuple(r["size"])})
            for r in row["rectangles"]
        ),
        tuple(panels),
        difference,
        tuple(
            MatrixPanel(title, stored[f"{number}_matrix_{place}"], tuple(names), tuple(columns))
            for place, (title, names, columns) in enumerate(row["matrices"])
        ),
    )
