"""Tables of positions in scans, as LUNA16 publishes them: candidates, nodules and scores.

A row is a scan, a position in mm and one value: a class, a diameter or a probability.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.raw import write_table

# The second is how our own tables call the first.
SCAN_COLUMNS = ("seriesuid", "identifier")
COORDINATES = ("coordX", "coordY", "coordZ")
DIAMETER, CLASS, PROBABILITY = "diameter_mm", "class", "probability"


@dataclass(frozen=True)
class Positions:
    """Positions in scans.

    Attributes:
        scans: name of the scan, N.
        points_mm: world coordinates (LPS), shape [N, 3], mm.
        values: one per position, shape [N]: diameters in mm, classes, or probabilities.
    """

    scans: tuple[str, ...]
    points_mm: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        """Refuses arrays of other lengths: positions would get the values of others."""
        num = len(self.scans)
        if self.points_mm.shape != (num, 3) or self.values.shape != (num,):
            raise ValueError(
                f"{num} scans do not fit positions of shape {self.points_mm.shape} and values of "
                f"shape {self.values.shape}."
            )

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.scans)

    def of(self, scans: Sequence[str]) -> "Positions":
        """The positions in these scans, in the order of the table."""
        wanted = set(scans)
        chosen = np.array([scan in wanted for scan in self.scans], dtype=bool)
        return Positions(
            tuple(scan for scan in self.scans if scan in wanted),
            self.points_mm[chosen],
            self.values[chosen],
        )


def read_positions(path: Path, value: str | None = None) -> Positions:
    """Reads a table with the columns seriesuid (or identifier), coordX, coordY, coordZ and a value.

    Further columns are passed over.

    Args:
        path: CSV file.
        value: column of the values: `DIAMETER`, `CLASS` or `PROBABILITY`; None for positions only,
            whose values are 0.

    Raises:
        ValueError: naming the line, if a column is missing or a number cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    # Tables saved by spreadsheets begin with a mark of their encoding.
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        header = [name.strip() for name in next(lines, [])]
        scan_column = next((name for name in SCAN_COLUMNS if name in header), SCAN_COLUMNS[0])
        columns = COORDINATES if value is None else (*COORDINATES, value)
        wanted = (scan_column, *columns)
        missing = [name for name in wanted if name not in header]
        if missing:
            raise ValueError(
                f"{path} has no column {', '.join(missing)}, only {', '.join(header) or 'nothing'}."
                f" It needs {', '.join((SCAN_COLUMNS[0], *columns))}."
            )
        places = [header.index(name) for name in wanted]
        rows = list(_rows(lines, places, path))
    numbers = np.zeros((len(rows), len(COORDINATES) + 1))
    if rows:
        numbers[:, : len(columns)] = [row[1] for row in rows]
    odd = np.flatnonzero(~np.isfinite(numbers).all(1))
    if len(odd):
        raise ValueError(
            f"{len(odd)} rows of {path} hold values that are not finite, first {rows[odd[0]][0]} "
            f"with {numbers[odd[0]].tolist()}. Write the table anew."
        )
    return Positions(tuple(row[0] for row in rows), numbers[:, :3], numbers[:, 3])


def _rows(
    lines: Iterator[list[str]], places: Sequence[int], path: Path
) -> Iterator[tuple[str, list[float]]]:
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        try:
            scan, *texts = (line[place].strip() for place in places)
            values = [float(text) for text in texts]
        except (IndexError, ValueError) as error:
            raise ValueError(
                f"Line {number} of {path} is {','.join(line)!r}, which is no scan with numbers: it "
                f"may be cut off. Download or write it anew."
            ) from error
        # Scans repeat a thousand times: one text for all saves much memory.
        yield sys.intern(scan), values


def write_positions(path: Path, positions: Positions, value: str) -> None:
    """Writes the table of the challenge: seriesuid, coordX, coordY, coordZ and the value.

    Source: the evaluation script of LUNA16 reads seriesuid,coordX,coordY,coordZ,probability.
    """
    rows = zip(positions.scans, positions.points_mm, positions.values, strict=True)
    write_table(
        path,
        [
            (SCAN_COLUMNS[0], *COORDINATES, value),
            *((scan, *point.tolist(), float(number)) for scan, point, number in rows),
        ],
    )


def read_scans(path: Path) -> list[str]:
    """Names of scans, one a line, as in seriesuids.csv, which has no header; doubles go.

    Raises:
        ValueError: if there are none.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    with open(path, newline="", encoding="utf-8-sig") as file:
        names = [line[0].strip() for line in csv.reader(file) if line]
    if names and names[0] in SCAN_COLUMNS:
        names = names[1:]
    scans = list(dict.fromkeys(name for name in names if name))
    if not scans:
        raise ValueError(f"{path} names no scan.")
    return scans
