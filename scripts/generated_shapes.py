"""Shapes, random fields and partial volume that generated CT and MR cases are drawn with.

Positions (z, y, x) run from caudal to cranial, from anterior to posterior and from the patient's
right to the left. One unit is half the field of view in the axial plane, so anatomy fills every
axial slice whatever the size in voxels; how much of it is seen along z depends on the size.

Shapes are level sets: arrays [D, H, W] that are positive inside, 0 on the surface and negative
outside. The anatomy itself lives in generated_ct.py and generated_mr.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Draws a smooth random field of the given wavelength.
Field = Callable[[float], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One generated patient.

    Attributes:
        image: shape [C, D, H, W]; int16 HU for CT, float32 and not negative for MR.
        labels: shape [D, H, W], uint8.
        spacing_mm: voxel edge lengths along (z, y, x).
    """

    image: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]


def draw_shape(rng: np.random.Generator, size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape (D, H, W) in voxels, each within 10 % of `size`."""
    return tuple(round(s * f) for s, f in zip(size, rng.uniform(0.9, 1.1, 3), strict=True))


def coordinates(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Positions (z, y, x) of the voxel centres, shape [3, D, H, W]; y and x range over (-1, 1)."""
    extent_mm = np.multiply(shape, spacing_mm)
    reach = (extent_mm[0] / extent_mm[1:].mean(), 1, 1)
    axes = [r * ((2 * np.arange(s) + 1) / s - 1) for r, s in zip(reach, shape, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def voxel_size(grid: np.ndarray) -> np.ndarray:
    """Edge lengths (z, y, x) of a voxel of undeformed coordinates [3, D, H, W]."""
    return grid[:, 1, 1, 1] - grid[:, 0, 0, 0]


def smooth_field(rng: np.random.Generator, grid: np.ndarray, wavelength: float) -> np.ndarray:
    """Smooth Gaussian random field of mean 0 and standard deviation 1, shape [D, H, W].

    Args:
        grid: undeformed coordinates, shape [3, D, H, W].
        wavelength: size of the structures in units of the grid.
    """
    # Bumps on control points instead of filtered voxels: structures have the same size at every
    # resolution, and three small matrix products are cheaper than a wide filter.
    axes = (grid[0, :, 0, 0], grid[1, 0, :, 0], grid[2, 0, 0, :])
    # What is finer than the voxels could not be seen.
    steps = np.maximum(wavelength / 3, voxel_size(grid))
    centres = [np.arange(a[0] - 2 * s, a[-1] + 2 * s, s) for a, s in zip(axes, steps, strict=True)]
    field = rng.standard_normal([c.size for c in centres], dtype=np.float32)
    for axis, centre, step in zip(axes, centres, steps, strict=True):
        bumps = np.exp(-0.5 * ((axis[:, None] - centre) / step) ** 2).astype(np.float32)
        # Contracts the first axis and appends the new one: three rounds restore the order.
        field = np.tensordot(field, bumps, axes=(0, 1))
    return (field - field.mean()) / field.std()


def deform(grid: np.ndarray, field: Field, amplitude: float, wavelength: float) -> np.ndarray:
    """Coordinates [3, D, H, W] displaced by smooth random fields of the given amplitude."""
    return grid + amplitude * np.stack([field(wavelength) for _ in range(3)])


def ellipsoid(grid: np.ndarray, centre, radii) -> np.ndarray:
    """Level set of an ellipsoid, 1 at its centre; an infinite radius makes it a tube."""
    offsets = grid - np.asarray(centre, dtype=np.float32)[:, None, None, None]
    scaled = offsets / np.asarray(radii, dtype=np.float32)[:, None, None, None]
    return 1 - np.sqrt((scaled**2).sum(0))


def tubes(field: Field, wavelength: float, thickness: float) -> np.ndarray:
    """Level set of branching vessels: two smooth fields vanish together along curves."""
    return thickness - np.hypot(field(wavelength), field(wavelength))


def both(*levels: np.ndarray) -> np.ndarray:
    """Level set of the intersection."""
    return np.minimum.reduce(levels)


def distance_voxels(level: np.ndarray) -> np.ndarray:
    """Distance to the surface of a level set in voxels, to first order, positive inside."""
    slope = np.sqrt(sum(g**2 for g in np.gradient(level)))
    return level / np.maximum(slope, 1e-6)


def occupancy(level: np.ndarray) -> np.ndarray:
    """Share of every voxel that lies inside the level set, range [0, 1]: partial volume."""
    return np.clip(distance_voxels(level) + 0.5, 0, 1)


def paint(image: np.ndarray, level: np.ndarray, value: float | np.ndarray) -> None:
    """Fill a level set in `image` [D, H, W] with a value or a map of values, in place."""
    image += occupancy(level) * (value - image)


def jitter(rng: np.random.Generator, values, amount: float) -> np.ndarray:
    """Values moved by up to `amount` in either direction."""
    return np.asarray(values) + rng.uniform(-amount, amount, len(values))
