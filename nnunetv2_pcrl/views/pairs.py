"""Two overlapping views of an image, each turned and changed in intensity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from nnunetv2_pcrl.views.boxes import Box, draw_global_boxes
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.corruption import CorruptionRanges, draw_corruption
from nnunetv2_pcrl.views.groups import (
    CorruptedView,
    PreparedGroup,
    place_view,
    prepare_group,
    region_of,
)


@dataclass(frozen=True)
class PairRanges:
    """How two views are drawn.

    Attributes:
        view_size: voxels per axis.
        view_scale: crop size over view size, lowest and highest.
        min_iou: least IoU of their boxes.
        spacing: mm per voxel, per axis in plan order.
        deformation_scale, rotation_degrees: see `draw_deformation`.
        corruption: of each view.
    """

    view_size: tuple[int, ...]
    view_scale: tuple[float, float]
    min_iou: float
    spacing: tuple[float, ...]
    deformation_scale: float
    rotation_degrees: float
    corruption: CorruptionRanges


@dataclass(frozen=True)
class PlacedPair:
    """Two views of one image.

    Attributes:
        views: where they lie and how they are changed.
        region: the box to read from the image.
    """

    views: tuple[CorruptedView, CorruptedView]
    region: Box

    @property
    def must_vary(self) -> tuple[Box, ...]:
        """Both."""
        return tuple(view.place.box for view in self.views)

    @property
    def boxes(self) -> Mapping[str, tuple[Box, ...]]:
        """Of the first and the second view."""
        first, second = self.must_vary
        return {"first view": (first,), "second view": (second,)}

    @property
    def group(self) -> PreparedGroup:
        """Both as small tensors."""
        return prepare_group(self.views, self.region)


def draw_pair(
    image_size: Sequence[int], channels: Channels, ranges: PairRanges, generator: torch.Generator
) -> PlacedPair:
    """Draws two views, each with values of its own."""
    boxes = draw_global_boxes(
        image_size, ranges.view_size, ranges.view_scale, ranges.min_iou, generator
    )

    def changed(box: Box) -> CorruptedView:
        place = place_view(
            box,
            ranges.view_size,
            ranges.spacing,
            ranges.deformation_scale,
            ranges.rotation_degrees,
            generator,
        )
        corruption = draw_corruption(ranges.view_size, channels, ranges.corruption, generator)
        return CorruptedView(place, corruption)

    first, second = map(changed, boxes)
    return PlacedPair((first, second), region_of((first.place, second.place), image_size))
