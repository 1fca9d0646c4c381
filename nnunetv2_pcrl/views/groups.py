"""Views of one size: where each lies and how it is deformed, drawn first and sampled later."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.resample import (
    Deformation,
    draw_deformation,
    footprint,
    sampling_lines,
    sampling_matrix,
)


@dataclass(frozen=True)
class PlacedView:
    """A view's place in the image.

    Attributes:
        box: in voxels of the image.
        deformation: about the centre of the box.
        size: voxels of the view per axis.
        spacing: mm per voxel of the image, per axis.
    """

    box: Box
    deformation: Deformation
    size: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def matrix(self) -> Tensor:
        """Maps points of the view to offsets from the box's centre, see `sampling_matrix`."""
        return sampling_matrix(self.deformation, self.box.size, self.spacing)


def place_view(
    box: Box,
    size: Sequence[int],
    spacing: Sequence[float],
    deformation_scale: float,
    rotation_degrees: float,
    generator: torch.Generator,
) -> PlacedView:
    """Draws how the view of a box is deformed, see `draw_deformation`."""
    deformation = draw_deformation(spacing, deformation_scale, rotation_degrees, generator)
    return PlacedView(box, deformation, tuple(size), tuple(spacing))


def region_of(views: Sequence[PlacedView], image_size: Sequence[int]) -> Box:
    """The smallest box of the image that holds every voxel that the views read."""
    first, *others = (footprint(view.box, view.matrix, image_size) for view in views)
    return first.union(*others)


def lines_of(views: Sequence[PlacedView], region: Box) -> tuple[Tensor, ...]:
    """Where views of one size sample a region: one [V, N, size] per axis, see `resample`."""
    lines = [sampling_lines(region, view.box, view.matrix, view.size) for view in views]
    return tuple(torch.stack(of_axis) for of_axis in zip(*lines, strict=True))
