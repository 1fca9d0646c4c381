"""Crop, flip, scale, rotate and resize a view in one interpolation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.seeding import coin, uniform

# nnU-Net's limit for anisotropy (ANISO_THRESHOLD), here applied to the spacing: beyond it, slices
# are not rotated into one another.
MAX_SPACING_RATIO_OF_ROTATION = 3.0
# On a CPU, as many voxels of a view at a time as have their grid in its second-level cache.
_VOXELS_AT_A_TIME = 2**17


@dataclass(frozen=True)
class Deformation:
    """Drawn geometry of a view, applied about the centre of its box.

    Attributes:
        flips: whether each axis is mirrored.
        scales: extent that is sampled over extent of the box, per axis; 1 changes nothing.
        angles: radians per plane of axes, in the order of `rotation_planes`.
    """

    flips: tuple[bool, ...]
    scales: tuple[float, ...]
    angles: tuple[float, ...]

    @classmethod
    def identity(cls, num_axes: int) -> "Deformation":
        """Neither flip nor scale nor rotation."""
        planes = rotation_planes(num_axes)
        return cls((False,) * num_axes, (1.0,) * num_axes, (0.0,) * len(planes))


def rotation_planes(num_axes: int) -> tuple[tuple[int, int], ...]:
    """Pairs of axes that span the planes of rotation: one in 2D, three in 3D."""
    return tuple(combinations(range(num_axes), 2))


def draw_deformation(
    spacing: Sequence[float],
    scale: float,
    rotation_degrees: float,
    generator: torch.Generator,
    mirrored_axes: Sequence[int] | None = None,
) -> Deformation:
    """Draws flips of axes, a scale per axis and a rotation per plane.

    Args:
        spacing: mm per voxel, per axis; planes in which it differs by more than a factor of 3
            are not rotated.
        scale: largest change of scale, e.g. 0.1 for 0.9-1.1.
        rotation_degrees: largest rotation in either direction.
        generator: random source.
        mirrored_axes: that may be flipped; by default all.
    """
    may_flip = range(len(spacing)) if mirrored_axes is None else mirrored_axes
    angles = []
    for a, b in rotation_planes(len(spacing)):
        angle = math.radians(uniform(-rotation_degrees, rotation_degrees, generator))
        ratio = max(spacing[a], spacing[b]) / min(spacing[a], spacing[b])
        angles.append(angle if ratio <= MAX_SPACING_RATIO_OF_ROTATION else 0.0)
    return Deformation(
        # Drawn for all, so that the other draws do not depend on it.
        flips=tuple(coin(generator) and axis in may_flip for axis in range(len(spacing))),
        scales=tuple(uniform(1 - scale, 1 + scale, generator) for _ in spacing),
        angles=tuple(angles),
    )


def sampling_matrix(
    deformation: Deformation, crop_size: Sequence[int], spacing: Sequence[float]
) -> Tensor:
    """Maps a point of the view to its offset in voxels from the centre of the box.

    Args:
        deformation: drawn geometry.
        crop_size: size of the box in voxels.
        spacing: mm per voxel, so that rotation is rigid in the body and not in the array.

    Returns:
        Float64 matrix [N, N] for N axes in plan order; the view spans [-1, 1] along each axis.
    """
    num_axes = len(crop_size)
    rotation = torch.eye(num_axes, dtype=torch.float64)
    for (a, b), angle in zip(rotation_planes(num_axes), deformation.angles, strict=True):
        plane = torch.eye(num_axes, dtype=torch.float64)
        plane[a, a] = plane[b, b] = math.cos(angle)
        plane[a, b], plane[b, a] = -math.sin(angle), math.sin(angle)
        rotation = rotation @ plane
    mm = torch.tensor(spacing, dtype=torch.float64)
    half_extents = torch.tensor(
        [
            (-1 if flip else 1) * scale * size / 2
            for flip, scale, size in zip(
                deformation.flips, deformation.scales, crop_size, strict=True
            )
        ],
        dtype=torch.float64,
    )
    return rotation / mm[:, None] * mm * half_extents


def footprint(box: Box, matrix: Tensor, image_size: Sequence[int]) -> Box:
    """The voxels of the image that a view reads, interpolation neighbours included.

    Sampling from this region equals sampling from the whole image.

    Args:
        box: box of the view.
        matrix: its sampling matrix.
        image_size: voxels per axis; the footprint is clipped to the image.
    """
    reach = matrix.abs().sum(dim=1).tolist()
    start, stop = [], []
    for begin, size, offset, limit in zip(box.start, box.size, reach, image_size, strict=True):
        centre = begin + size / 2
        # Neighbours lie at most half a voxel further out; the far end of the image is the limit.
        low = min(limit - 1, max(0, math.floor(centre - offset - 0.5 + 1e-6)))
        high = max(low + 1, min(limit, math.ceil(centre + offset + 0.5 - 1e-6)))
        start.append(low)
        stop.append(high)
    return Box(tuple(start), tuple(b - a for a, b in zip(start, stop, strict=True)))


def sampling_lines(
    region_box: Box, box: Box, matrix: Tensor, view_size: Sequence[int]
) -> tuple[Tensor, ...]:
    """Where a view samples a region: the sum of one line per axis of the view.

    Args:
        region_box: where the region lies in the image.
        box: box of the view, in voxels of the image.
        matrix: the view's sampling matrix.
        view_size: voxels per axis of the view.

    Returns:
        For each axis float64 [N, size]: coordinates in the region as grid_sample counts them,
        from the last axis to the first, -1 and 1 being the outer ends of the region.
    """
    extent = torch.tensor(region_box.size, dtype=torch.float64)
    offset = torch.tensor(
        [
            begin + size / 2 - region_begin
            for begin, size, region_begin in zip(box.start, box.size, region_box.start, strict=True)
        ],
        dtype=torch.float64,
    )
    linear = (matrix * (2 / extent)[:, None]).flip(0)
    shift = (offset * 2 / extent - 1).flip(0)
    lines = []
    for axis, size in enumerate(view_size):
        centres = (2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1
        lines.append(linear[:, axis, None] * centres)
    lines[0] += shift[:, None]
    return tuple(lines)


def resample(region: Tensor, lines: Sequence[Tensor]) -> Tensor:
    """Samples views of one size from a region of the image, linearly, with replicated borders.

    Args:
        region: image values, shape [C, (D,) H, W].
        lines: `sampling_lines` of V views, one [V, N, size] per axis, on the region's device.

    Returns:
        The views, shape [V, C, (d,) h, w], a new tensor of the region's dtype and device.
    """
    lines = [line.to(region.dtype) for line in lines]
    if region.is_cuda:
        return _sample(region, lines)
    views = region.new_empty(len(lines[0]), region.shape[0], *(line.shape[-1] for line in lines))
    num_slices = max(1, _VOXELS_AT_A_TIME // math.prod(views.shape[3:]))
    for number, view in enumerate(views):
        first, *others = (line[number, None] for line in lines)
        slabs = torch.split(view, num_slices, dim=1)
        parts = torch.split(first, num_slices, dim=-1)
        for slab, part in zip(slabs, parts, strict=True):
            slab.copy_(_sample(region, [part, *others])[0])
    return views


def _sample(region: Tensor, lines: Sequence[Tensor]) -> Tensor:
    """One call of grid_sample for all views of the lines."""
    num_views, num_axes = lines[0].shape[:2]
    # Coordinates come first in memory, so that building the grid means adding long rows.
    grid = lines[-1]
    for line in reversed(lines[:-1]):
        grid = line.reshape(*line.shape, *[1] * (grid.ndim - 2)) + grid[:, :, None]
    return F.grid_sample(
        region.expand(num_views, *region.shape),
        grid.permute(0, *range(2, num_axes + 2), 1),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
