"""Views of one size: where each lies, how it is deformed and corrupted, drawn before it is made."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.corruption import (
    Corruption,
    PreparedCorruption,
    corrupt_,
    prepare_corruption,
)
from nnunetv2_pcrl.views.resample import (
    Deformation,
    draw_deformation,
    footprint,
    resample,
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
    mirrored_axes: Sequence[int] | None = None,
) -> PlacedView:
    """Draws how the view of a box is deformed, see `draw_deformation`."""
    deformation = draw_deformation(
        spacing, deformation_scale, rotation_degrees, generator, mirrored_axes
    )
    return PlacedView(box, deformation, tuple(size), tuple(spacing))


@dataclass(frozen=True)
class CorruptedView:
    """A view's place and the corruption of the network's input."""

    place: PlacedView
    corruption: Corruption


@dataclass(frozen=True)
class PreparedGroup:
    """Corrupted views of one size as small tensors.

    Attributes:
        lines: where they sample the region, see `resample`.
        corruption: of all of them.
    """

    lines: tuple[Tensor, ...]
    corruption: PreparedCorruption

    def made(self, region: Tensor) -> Tensor:
        """The corrupted views, shape [V, C, (d,) h, w], of a region [C, (D,) H, W]."""
        views = resample(region, self.lines)
        corrupt_(views, self.corruption)
        return views


def prepare_group(views: Sequence[CorruptedView], region: Box) -> PreparedGroup:
    """Does all that can be done without the voxels of the region."""
    corruptions = [view.corruption for view in views]
    return PreparedGroup(
        lines_of([view.place for view in views], region),
        prepare_corruption(corruptions, views[0].place.size),
    )


def region_of(views: Sequence[PlacedView], image_size: Sequence[int]) -> Box:
    """The smallest box of the image that holds every voxel that the views read."""
    first, *others = (footprint(view.box, view.matrix, image_size) for view in views)
    return first.union(*others)


def lines_of(views: Sequence[PlacedView], region: Box) -> tuple[Tensor, ...]:
    """Where views of one size sample a region: one [V, N, size] per axis, see `resample`."""
    lines = [sampling_lines(region, view.box, view.matrix, view.size) for view in views]
    return tuple(torch.stack(of_axis) for of_axis in zip(*lines, strict=True))
