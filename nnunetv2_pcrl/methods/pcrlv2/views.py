"""The views of PCRLv2: two overlapping global ones, and local ones inside their union box."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings
from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.views.boxes import Box, draw_global_boxes, draw_local_boxes
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.corruption import CorruptionRanges, corrupt_, draw_corruption
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.groups import (
    CorruptedView,
    PreparedGroup,
    place_view,
    prepare_group,
    region_of,
)
from nnunetv2_pcrl.views.resample import resample


@dataclass(frozen=True)
class PreparedViews:
    """Drawn views of one image in the form that making them takes, for any device."""

    global_views: PreparedGroup
    local_views: PreparedGroup

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """Makes the views, wherever the voxels of their region are.

        Args:
            region: image values, shape [C, (D,) H, W]; not modified.

        Returns:
            `target` [1, C, (D,) H, W], the clean v0; `global_views` [2, C, (D,) H, W] and
            `local_views` [L, C, (d,) h, w], corrupted.
        """
        prepared = on_device(self, region.device)
        global_views = resample(region, prepared.global_views.lines)
        target = global_views[:1].clone()
        corrupt_(global_views, prepared.global_views.corruption)
        local_views = prepared.local_views.made(region)
        return {"target": target, "global_views": global_views, "local_views": local_views}


@dataclass(frozen=True)
class DrawnViews:
    """The views of one image.

    Attributes:
        global_views: v0 and v1.
        local_views: l_1 .. l_N.
        region: the box to read from the image; no view needs a voxel outside it.
    """

    global_views: tuple[CorruptedView, CorruptedView]
    local_views: tuple[CorruptedView, ...]
    region: Box

    @property
    def must_vary(self) -> tuple[Box, ...]:
        """The global boxes."""
        return tuple(view.place.box for view in self.global_views)

    @property
    def boxes(self) -> Mapping[str, tuple[Box, ...]]:
        """Of the first and the second global view, and of the local ones."""
        first, second = self.must_vary
        local = tuple(view.place.box for view in self.local_views)
        return {"first global view": (first,), "second global view": (second,), "local": local}

    def prepared(self) -> PreparedViews:
        """Does all that can be done without the image's voxels."""
        return PreparedViews(
            prepare_group(self.global_views, self.region),
            prepare_group(self.local_views, self.region),
        )


@dataclass(frozen=True)
class PCRLv2Recipe(SettingsRecipe[PCRLv2Settings]):
    """How views are drawn from an image."""

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> DrawnViews:
        """Draws two overlapping global views and the local views inside their union box.

        Args:
            image_size: voxels of the image per axis; may be smaller than a view.
            channels: of the image.
            generator: random source; equal generators give equal draws.
        """
        settings = self.settings
        first, second = draw_global_boxes(
            image_size,
            settings.global_size,
            settings.global_scale,
            settings.min_iou,
            generator,
            settings.depth_scale,
        )
        local_boxes = draw_local_boxes(
            first.union(second),
            settings.local_size,
            settings.local_scale,
            settings.num_local,
            generator,
        )

        def draw(box: Box, size: tuple[int, ...], ranges: CorruptionRanges) -> CorruptedView:
            place = place_view(
                box,
                size,
                self.spacing,
                settings.deformation_scale,
                settings.rotation_degrees,
                generator,
                settings.mirrored_axes,
            )
            return CorruptedView(place, draw_corruption(size, channels, ranges, generator))

        ranges = settings.corruption_ranges
        global_views = (
            draw(first, settings.global_size, ranges),
            draw(second, settings.global_size, ranges),
        )
        local_ranges = ranges.of_local_views()
        local_views = tuple(draw(box, settings.local_size, local_ranges) for box in local_boxes)
        places = [view.place for view in (*global_views, *local_views)]
        return DrawnViews(global_views, local_views, region_of(places, image_size))
