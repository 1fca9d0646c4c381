"""The PCRLv2 recipe: which views are drawn from an image and how they are made from a region.

`draw_views` decides everything from a generator, `prepare_views` brings it into small tensors, and
`make_views` applies these to a region that somebody has read, on the region's device. None of them
knows where images come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box, draw_global_boxes, draw_local_boxes
from nnunetv2_pcrl.views.corruption import (
    Corruption,
    CorruptionRanges,
    PreparedCorruption,
    corrupt_,
    draw_corruption,
    prepare_corruption,
)
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.resample import (
    Deformation,
    draw_deformation,
    footprint,
    resample,
    sampling_lines,
    sampling_matrix,
)


@dataclass(frozen=True)
class ViewSettings:
    """Sizes and ranges of the views. Axes are in plan order, (D,) H, W.

    Attributes:
        global_size, local_size: voxels of a view per axis, what the network sees.
        spacing: mm per voxel, per axis; rotations are rigid in mm.
        num_local: local views per image.
        global_scale, local_scale: crop size over view size, lowest and highest.
        min_iou: lowest IoU of the two global boxes.
        rotation_degrees: largest rotation in either direction.
        deformation_scale: largest change of scale per axis.
        swapped_part, patch_part, num_cut_outs, cut_out_part, blur_sigma, noise_std, log_gamma,
            contrast: see `CorruptionRanges`.
    """

    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    spacing: tuple[float, ...]
    num_local: int = 6
    global_scale: tuple[float, float] = (1.0, 1.75)
    local_scale: tuple[float, float] = (0.5, 1.0)
    min_iou: float = 0.3
    rotation_degrees: float = 10.0
    deformation_scale: float = 0.1
    swapped_part: float = 0.2
    patch_part: float = 0.1
    num_cut_outs: int = 0
    cut_out_part: float = 1 / 7
    blur_sigma: float = 2.0
    noise_std: float = 0.25
    log_gamma: float = 0.3
    contrast: float = 0.0

    @property
    def corruption_ranges(self) -> CorruptionRanges:
        """The ranges of the global views' corruption."""
        names = [field.name for field in fields(CorruptionRanges)]
        return CorruptionRanges(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class DrawnView:
    """Everything that makes one view: where it lies, how it is deformed and corrupted."""

    box: Box
    deformation: Deformation
    corruption: Corruption
    size: tuple[int, ...]


@dataclass(frozen=True)
class DrawnViews:
    """The views of one image and the region of voxels that they need.

    Attributes:
        global_views: v0 and v1.
        local_views: l_1 .. l_N.
        region: the box to read from the image; no view needs a voxel outside it.
    """

    global_views: tuple[DrawnView, DrawnView]
    local_views: tuple[DrawnView, ...]
    region: Box


@dataclass(frozen=True)
class Views:
    """Views of one image as tensors.

    Attributes:
        target: clean v0, what is to be restored, shape [C, (D,) H, W].
        global_views: corrupted v0 and v1, shape [2, C, (D,) H, W].
        local_views: corrupted local views, shape [L, C, (d,) h, w].
    """

    target: Tensor
    global_views: Tensor
    local_views: Tensor


def draw_views(
    image_size: Sequence[int],
    num_channels: int,
    settings: ViewSettings,
    generator: torch.Generator,
) -> DrawnViews:
    """Draws two overlapping global views and the local views inside their union box.

    Args:
        image_size: voxels of the image per axis; may be smaller than a view.
        num_channels: channels of the image.
        settings: sizes and ranges.
        generator: random source; equal generators give equal draws.
    """
    ranges = settings.corruption_ranges

    def draw(box: Box, size: tuple[int, ...], own_ranges: CorruptionRanges) -> DrawnView:
        deformation = draw_deformation(
            settings.spacing, settings.deformation_scale, settings.rotation_degrees, generator
        )
        corruption = draw_corruption(size, num_channels, own_ranges, generator)
        return DrawnView(box, deformation, corruption, size)

    first, second = draw_global_boxes(
        image_size, settings.global_size, settings.global_scale, settings.min_iou, generator
    )
    local_boxes = draw_local_boxes(
        first.union(second),
        settings.local_size,
        settings.local_scale,
        settings.num_local,
        generator,
    )
    global_views = tuple(draw(box, settings.global_size, ranges) for box in (first, second))
    local_views = tuple(
        draw(box, settings.local_size, ranges.of_local_views()) for box in local_boxes
    )
    read = [
        footprint(view.box, _matrix(view, settings), image_size)
        for view in (*global_views, *local_views)
    ]
    return DrawnViews(global_views, local_views, read[0].union(*read[1:]))


@dataclass(frozen=True)
class PreparedGroup:
    """Views of one size as small tensors.

    Attributes:
        lines: where they sample the region, see `resample`.
        corruption: of all of them.
    """

    lines: tuple[Tensor, ...]
    corruption: PreparedCorruption


@dataclass(frozen=True)
class PreparedViews:
    """Drawn views of one image in the form that making them takes, for any device."""

    global_views: PreparedGroup
    local_views: PreparedGroup


def prepare_views(drawn: DrawnViews, settings: ViewSettings) -> PreparedViews:
    """Does all that can be done without the image's voxels.

    Args:
        drawn: what to make.
        settings: those that it was drawn with.
    """

    def group(views: Sequence[DrawnView]) -> PreparedGroup:
        lines = [
            sampling_lines(drawn.region, view.box, _matrix(view, settings), view.size)
            for view in views
        ]
        corruptions = [view.corruption for view in views]
        num_channels = len(corruptions[0].gammas)
        return PreparedGroup(
            tuple(torch.stack(of_axis) for of_axis in zip(*lines, strict=True)),
            prepare_corruption(corruptions, views[0].size, num_channels),
        )

    return PreparedViews(group(drawn.global_views), group(drawn.local_views))


def make_views(region: Tensor, prepared: PreparedViews) -> Views:
    """Makes the views of one image from the voxels of their region, wherever these are.

    Args:
        region: image values of `DrawnViews.region`, shape [C, (D,) H, W]; not modified.
        prepared: what to make, on any device.
    """
    prepared = on_device(prepared, region.device)
    global_views = resample(region, prepared.global_views.lines)
    target = global_views[0].clone()
    corrupt_(global_views, prepared.global_views.corruption)
    local_views = resample(region, prepared.local_views.lines)
    corrupt_(local_views, prepared.local_views.corruption)
    return Views(target, global_views, local_views)


def _matrix(view: DrawnView, settings: ViewSettings) -> Tensor:
    return sampling_matrix(view.deformation, view.box.size, settings.spacing)
