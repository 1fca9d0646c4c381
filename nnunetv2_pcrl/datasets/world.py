"""World coordinates in mm and voxel coordinates of an image, in both directions."""

from collections.abc import Sequence

import numpy as np


def voxels_of(
    points_mm: np.ndarray,
    origin: Sequence[float],
    spacing: Sequence[float],
    direction: Sequence[float],
) -> np.ndarray:
    """Voxel coordinates of points, in the order x, y, z; whole numbers are centres of voxels.

    Args:
        points_mm: shape [N, 3], mm, in the world of the image's header (LPS for ITK's formats).
        origin: of the image, position of the first voxel, mm.
        spacing: mm per axis.
        direction: direction cosines, row by row, nine values.

    Returns:
        Shape [N, 3], outside of the image too.
    """
    rotation = np.reshape(np.asarray(direction, dtype=np.float64), (3, 3))
    along_axes = np.linalg.solve(rotation, (np.asarray(points_mm, np.float64) - origin).T).T
    return along_axes / spacing


def points_of(
    voxels: np.ndarray,
    origin: Sequence[float],
    spacing: Sequence[float],
    direction: Sequence[float],
) -> np.ndarray:
    """World coordinates of voxel coordinates: the way back of `voxels_of`, shape [N, 3], mm."""
    rotation = np.reshape(np.asarray(direction, dtype=np.float64), (3, 3))
    return (np.asarray(voxels, np.float64) * spacing) @ rotation.T + origin
