"""The published tables of LUNA16, and how they are written beside dataset.json.

Positions get voxel coordinates of the scan as it is stored: x, y, z, whole numbers are centres.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_pcrl.datasets.headers import read_header
from nnunetv2_pcrl.datasets.layouts import files_below
from nnunetv2_pcrl.datasets.positions import CLASS, COORDINATES, DIAMETER, read_positions
from nnunetv2_pcrl.datasets.world import voxels_of

VOXELS = ("voxelX", "voxelY", "voxelZ")


@dataclass(frozen=True)
class Table:
    """A published table.

    Attributes:
        written: its name beside dataset.json.
        value: column of its values.
        num_rows: published count.
    """

    written: str
    value: str
    num_rows: int


# By published name; of the candidates, the second version is taken where both are there.
TABLES = {
    "annotations.csv": Table("annotations.csv", DIAMETER, 1186),
    "annotations_excluded.csv": Table("annotations_excluded.csv", DIAMETER, 35192),
    "candidates.csv": Table("candidates.csv", CLASS, 551065),
    "candidates_V2.csv": Table("candidates.csv", CLASS, 754975),
}


def find_tables(source: Path) -> dict[str, Path]:
    """The tables below a folder, by published name."""
    found: dict[str, Path] = {}
    for path in files_below(source, (".csv",)):
        if path.name in TABLES:
            found.setdefault(path.name, path)
    if "candidates_V2.csv" in found:
        found.pop("candidates.csv", None)
    return found


def rows_of(
    kind: str, path: Path, scans: Mapping[str, Path]
) -> tuple[list[Sequence[Any]], dict[str, str]]:
    """Rows with voxel coordinates for the scans that are there, the first is the header.

    Args:
        kind: published name of the table.
        path: of its file.
        scans: MHD files by series UID; scans whose header is damaged are passed over.

    Returns:
        The rows, and what a complete download has and this one lacks.

    Raises:
        ValueError: if the table cannot be read.
    """
    table = TABLES[kind]
    positions = read_positions(path, table.value)
    missing = {}
    if len(positions) != table.num_rows:
        missing[f"rows of {kind}"] = f"{len(positions)} were found, LUNA16 has {table.num_rows}"
    rows: list[Sequence[Any]] = [("identifier", *COORDINATES, *VOXELS, table.value)]
    places: dict[str, list[int]] = {}
    for place, scan in enumerate(positions.scans):
        places.setdefault(scan, []).append(place)
    for scan, indices in places.items():
        if scan not in scans:
            continue
        try:
            header = read_header(scans[scan])
        except ValueError:
            # The conversion leaves the scan out and says why.
            continue
        points = positions.points_mm[indices]
        voxels = voxels_of(points, header.origin, header.spacing, header.direction)
        values = positions.values[indices]
        if table.value == CLASS:
            values = values.astype(np.int64)
        rows += [
            (scan, *point, *(f"{value:.7f}" for value in voxel), number)
            for point, voxel, number in zip(
                points.tolist(), voxels.tolist(), values.tolist(), strict=True
            )
        ]
    num_absent = len(places) - len(places.keys() & scans.keys())
    if num_absent:
        missing[f"scans of {kind}"] = f"{num_absent} of {len(places)} are not there"
    return rows, missing
