"""Boxes in voxels and how they are drawn: integers only, no images, no interpolation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nnunetv2_pcrl.views.seeding import integer, uniform

# Images smaller than a view are cropped at no less than this part of their extent and enlarged.
MIN_EXTENT_OF_SMALL_IMAGE = 0.6


@dataclass(frozen=True)
class Box:
    """A half-open box of voxels: `start` belongs to it, `stop` is one past its end.

    Attributes:
        start: first voxel per axis, (D,) H, W in plan order.
        size: voxels per axis, at least 1.
    """

    start: tuple[int, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.start) == len(self.size), (self.start, self.size)
        assert all(size >= 1 for size in self.size), self.size

    @property
    def stop(self) -> tuple[int, ...]:
        """One past the last voxel, per axis."""
        return tuple(start + size for start, size in zip(self.start, self.size, strict=True))

    @property
    def volume(self) -> int:
        """Number of voxels."""
        return math.prod(self.size)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Indexes the box out of the spatial axes of an array."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def contains(self, other: "Box") -> bool:
        """True if every voxel of `other` lies in this box."""
        return all(a <= b for a, b in zip(self.start, other.start, strict=True)) and all(
            a >= b for a, b in zip(self.stop, other.stop, strict=True)
        )

    def union(self, *others: "Box") -> "Box":
        """The smallest box around this one and the others."""
        boxes = (self, *others)
        start = tuple(min(values) for values in zip(*(box.start for box in boxes), strict=True))
        stop = tuple(max(values) for values in zip(*(box.stop for box in boxes), strict=True))
        return Box(start, tuple(b - a for a, b in zip(start, stop, strict=True)))

    def overlap(self, other: "Box") -> int:
        """Voxels that both boxes have."""
        return math.prod(
            max(0, min(stop_a, stop_b) - max(start_a, start_b))
            for start_a, stop_a, start_b, stop_b in zip(
                self.start, self.stop, other.start, other.stop, strict=True
            )
        )

    def iou(self, other: "Box") -> float:
        """Intersection over union with another box, in [0, 1]."""
        overlap = self.overlap(other)
        return overlap / (self.volume + other.volume - overlap)


def draw_crop_size(
    view_size: Sequence[int],
    extent: Sequence[int],
    scale_range: tuple[float, float],
    generator: torch.Generator,
    depth_range: tuple[float, float] | None = None,
) -> tuple[int, ...]:
    """Size of a crop that will be resized to a view.

    One scale is drawn for all axes, so that the crop keeps the view's proportions, unless the first
    axis has a range of its own. Where it does not fit, the axis is clipped; where the extent is
    smaller than the view and than the smallest crop, the crop takes a drawn part of at least 60 %
    of it and will be enlarged.

    Args:
        view_size: size of the view, voxels per axis.
        extent: voxels per axis that the crop may take at most.
        scale_range: crop size over view size, lowest and highest.
        generator: random source.
        depth_range: the same of the first of three axes; None for no range of its own.

    Returns:
        Voxels per axis, each in 1..extent.
    """
    scales = [uniform(*scale_range, generator)] * len(view_size)
    lowest = [scale_range[0]] * len(view_size)
    if depth_range is not None and len(view_size) == 3:
        scales[0], lowest[0] = uniform(*depth_range, generator), depth_range[0]
    sizes = []
    for view, limit, scale, low in zip(view_size, extent, scales, lowest, strict=True):
        if limit < min(view, view * low):
            part = uniform(MIN_EXTENT_OF_SMALL_IMAGE, 1.0, generator)
            sizes.append(max(1, math.ceil(part * limit)))
        else:
            sizes.append(max(1, min(limit, round(scale * view))))
    return tuple(sizes)


def draw_box_within(size: Sequence[int], outer: Box, generator: torch.Generator) -> Box:
    """A box of the given size anywhere inside `outer`; every position is equally likely.

    Raises:
        ValueError: if the size does not fit.
    """
    if any(inner > limit for inner, limit in zip(size, outer.size, strict=True)):
        raise ValueError(f"a box of size {tuple(size)} does not fit into {outer}")
    start = tuple(
        integer(low, high - inner, generator)
        for low, high, inner in zip(outer.start, outer.stop, size, strict=True)
    )
    return Box(start, tuple(size))


def draw_global_boxes(
    image_size: Sequence[int],
    view_size: Sequence[int],
    scale_range: tuple[float, float],
    min_iou: float,
    generator: torch.Generator,
    depth_range: tuple[float, float] | None = None,
) -> tuple[Box, Box]:
    """Two overlapping boxes whose IoU is at least `min_iou`, without rejection.

    The first box is free. The second gets a size that can reach the IoU and then, axis by axis in
    a drawn order, any position that leaves enough overlap for the remaining axes.

    Args:
        image_size: voxels per axis.
        view_size: size of the global view, voxels per axis.
        scale_range: crop size over view size.
        min_iou: lowest intersection over union of the boxes, in (0, 1).
        generator: random source.
        depth_range: crop size over view size along the first of three axes; None: as on the others.
    """
    image = Box((0,) * len(image_size), tuple(image_size))
    first = draw_box_within(
        draw_crop_size(view_size, image_size, scale_range, generator, depth_range),
        image,
        generator,
    )
    wanted = draw_crop_size(view_size, image_size, scale_range, generator, depth_range)
    size = _size_that_can_reach_iou(first.size, wanted, min_iou)
    return first, Box(_draw_overlapping_start(first, size, image, min_iou, generator), size)


def _required_overlap(volume_a: int, volume_b: int, min_iou: float) -> float:
    """Voxels that two boxes of these volumes must share for the IoU: I = t/(1+t) (Va + Vb)."""
    return min_iou / (1 + min_iou) * (volume_a + volume_b)


def _size_that_can_reach_iou(
    reference: tuple[int, ...], wanted: tuple[int, ...], min_iou: float
) -> tuple[int, ...]:
    """The wanted size, moved towards the reference only as far as the IoU demands."""
    for part in (1.0, 0.75, 0.5, 0.25):
        size = tuple(
            round(ref + part * (want - ref)) for ref, want in zip(reference, wanted, strict=True)
        )
        largest_overlap = math.prod(min(a, b) for a, b in zip(reference, size, strict=True))
        needed = _required_overlap(math.prod(reference), math.prod(size), min_iou)
        if largest_overlap >= needed:
            return size
    return reference


def _draw_overlapping_start(
    first: Box, size: tuple[int, ...], image: Box, min_iou: float, generator: torch.Generator
) -> tuple[int, ...]:
    """Start of a box of the given size inside the image whose IoU with `first` is high enough.

    `overlaps` always holds what is decided for the axes done and the largest possible value for
    the others; its product never falls below the overlap that the IoU demands.
    """
    overlaps = [min(a, b) for a, b in zip(first.size, size, strict=True)]
    needed = _required_overlap(first.volume, math.prod(size), min_iou)
    start = [0] * len(size)
    for axis in torch.randperm(len(size), generator=generator).tolist():
        others = math.prod(overlaps[:axis] + overlaps[axis + 1 :])
        least = max(1, math.ceil(needed / others - 1e-9))
        start[axis] = integer(
            max(0, first.start[axis] - size[axis] + least),
            min(image.size[axis] - size[axis], first.stop[axis] - least),
            generator,
        )
        overlaps[axis] = min(first.stop[axis], start[axis] + size[axis]) - max(
            first.start[axis], start[axis]
        )
    return tuple(start)


def draw_local_boxes(
    union: Box,
    view_size: Sequence[int],
    scale_range: tuple[float, float],
    num_local: int,
    generator: torch.Generator,
) -> tuple[Box, ...]:
    """Boxes of the local views, each wholly inside the union box of the global ones.

    (Scaling and rotation may let a view read a little beyond its box, as for global views.)
    """
    return tuple(
        draw_box_within(
            draw_crop_size(view_size, union.size, scale_range, generator), union, generator
        )
        for _ in range(num_local)
    )
