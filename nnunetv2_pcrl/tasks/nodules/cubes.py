"""Cubes of a fixed size around points of preprocessed cases, without interpolation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase


@dataclass(frozen=True)
class ImageInMemory:
    """A preprocessed image that is no file; read like a `PreprocessedCase`.

    Attributes:
        image: shape [C, D, H, W].
    """

    image: Tensor

    @property
    def num_channels(self) -> int:
        """Channels of the image."""
        return self.image.shape[0]

    @property
    def image_size(self) -> tuple[int, ...]:
        """Voxels per axis, (D, H, W)."""
        return tuple(self.image.shape[1:])

    def read(self, box: Box) -> Tensor:
        """The voxels of a box, shape [C, *box.size]."""
        return self.image[(slice(None), *box.slices)]


def cube_size(size_mm: float, spacing_mm: Sequence[float], multiple: int = 1) -> tuple[int, ...]:
    """Voxels per axis of a cube.

    The spacing of a single case differs from that of the plans by the rounding of its size.

    Args:
        size_mm: length of an edge, mm.
        spacing_mm: of the plans, mm per axis (D, H, W).
        multiple: the numbers of voxels are rounded up to multiples of it, e.g. a network's stride.

    Raises:
        ValueError: if the spacing is that of a flat configuration, or a length is not positive.
    """
    if len(spacing_mm) != 3:
        raise ValueError(
            f"Cubes need a configuration with 3 axes, its spacing is {list(spacing_mm)}. Use "
            f"3d_fullres or 3d_lowres."
        )
    if size_mm <= 0 or multiple < 1:
        raise ValueError(f"A cube of {size_mm} mm in multiples of {multiple} voxels has no size.")
    voxels = (max(1, round(size_mm / spacing)) for spacing in spacing_mm)
    return tuple(-(-num // multiple) * multiple for num in voxels)


def cut_cube(
    case: PreprocessedCase | ImageInMemory, voxel: np.ndarray, size: Sequence[int]
) -> Tensor:
    """The cube whose voxel `size // 2` is the one that holds the given point.

    Args:
        case: preprocessed image.
        voxel: coordinates of the point, (D, H, W).
        size: voxels per axis.

    Returns:
        Shape [C, *size], float32; zero outside of the case, as in nnU-Net's own loader.

    Raises:
        UnusableCaseError: if the case is damaged.
    """
    centre = np.floor(np.asarray(voxel, np.float64) + 0.5).astype(int)
    start = centre - np.array(size) // 2
    first = np.maximum(start, 0)
    stop = np.minimum(start + np.array(size), case.image_size)
    cube = torch.zeros((case.num_channels, *size), dtype=torch.float32)
    if (stop > first).all():
        inside = Box(tuple(first.tolist()), tuple((stop - first).tolist()))
        place = Box(tuple((first - start).tolist()), inside.size)
        cube[(slice(None), *place.slices)] = case.read(inside)
    return cube
