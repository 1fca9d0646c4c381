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
) -> Deformation:
    """Draws flips of every axis, a scale per axis and a rotation per plane.

    Args:
        spacing: mm per voxel, per axis; planes in which it differs by more than a factor of 3
            are not rotated.
        scale: largest change of scale, e.g. 0.1 for 0.9-1.1.
        rotation_degrees: largest rotation in either direction.
        generator: random source.
    """
    angles = []
    for a, b in rotation_planes(len(spacing)):
        angle = math.radians(uniform(-rotation_degrees, rotation_degrees, generator))
        ratio = max(spacing[a], spacing[b]) / min(spacing[a], spacing[b])
        angles.append(angle if ratio <= MAX_SPACING_RATIO_OF_ROTATION else 0.0)
    return Deformation(
        flips=tuple(coin(generator) for _ in spacing),
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


def resample(
    region: Tensor, region_box: Box, box: Box, matrix: Tensor, view_size: Sequence[int]
) -> Tensor:
    """Samples one view from a region of the image, linearly, with replicated borders.

    Args:
        region: image values, shape [C, (D,) H, W].
        region_box: where the region lies in the image.
        box: box of the view, in voxels of the image.
        matrix: the view's sampling matrix.
        view_size: voxels per axis of the result.

    Returns:
        The view, shape [C, *view_size], a new tensor of the region's dtype and device.
    """
    extent = torch.tensor(region_box.size, dtype=torch.float64)
    offset = torch.tensor(
        [
            begin + size / 2 - region_begin
            for begin, size, region_begin in zip(box.start, box.size, region_box.start, strict=True)
        ],
        dtype=torch.float64,
    )
    linear = matrix * (2 / extent)[:, None]
    shift = offset * 2 / extent - 1
    # grid_sample counts axes from the last to the first.
    theta = torch.cat([linear.flip(0, 1), shift.flip(0)[:, None]], dim=1)
    grid = F.affine_grid(
        theta[None].to(region), [1, region.shape[0], *view_size], align_corners=False
    )
    return F.grid_sample(
        region[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0]
