"""One view of an image, as large as it is trained on: where it lies and how it is turned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box, draw_box_within, draw_crop_size
from nnunetv2_pcrl.views.groups import PlacedView, lines_of, place_view, region_of


@dataclass(frozen=True)
class PlacedPatch:
    """A patch of one image; what is done to it is for others to say.

    Attributes:
        place: in the image.
        region: the box to read from the image.
    """

    place: PlacedView
    region: Box

    @property
    def must_vary(self) -> tuple[Box, ...]:
        """The patch."""
        return (self.place.box,)

    @property
    def boxes(self) -> Mapping[str, tuple[Box, ...]]:
        """The patch."""
        return {"patch": self.must_vary}

    @property
    def lines(self) -> tuple[Tensor, ...]:
        """Where it samples the region, see `resample`."""
        return lines_of([self.place], self.region)


def draw_patch(
    image_size: Sequence[int],
    view_size: Sequence[int],
    spacing: Sequence[float],
    deformation_scale: float,
    rotation_degrees: float,
    generator: torch.Generator,
) -> PlacedPatch:
    """Draws a patch, at the scale of the image where that is large enough.

    Args:
        image_size, view_size: voxels per axis.
        spacing: mm per voxel, per axis.
        deformation_scale, rotation_degrees: see `draw_deformation`.
        generator: random source.
    """
    whole = Box((0,) * len(image_size), tuple(image_size))
    size = draw_crop_size(view_size, image_size, (1.0, 1.0), generator)
    box = draw_box_within(size, whole, generator)
    place = place_view(box, view_size, spacing, deformation_scale, rotation_degrees, generator)
    return PlacedPatch(place, region_of([place], image_size))
