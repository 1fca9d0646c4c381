"""How an image of any size becomes inputs of one size: boxes to read, and what is made of them.

An image is [C, D, H, W], as nnU-Net stores it; a 2D network sees one slice at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window
from torch import Tensor
from torch.nn import functional

from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.seeding import integer

# As nnU-Net's sliding window.
STEP = 0.5


@dataclass(frozen=True)
class Framing:
    """Inputs of an image.

    Attributes:
        patch_size: of the inputs, (D,) H, W in plan order.
        is_whole: whether an input shows the whole image (2D: slice), resized, or a window of it.
        keep_aspect: whether a whole image keeps its proportions; what is left over is zero.
    """

    patch_size: tuple[int, ...]
    is_whole: bool = True
    keep_aspect: bool = True

    def boxes(self, image_size: Sequence[int]) -> list[Box]:
        """Boxes of all inputs that show an image, of (D, H, W) voxels."""
        return [
            Box(start, self._box_size(image_size)) for start in product(*self._starts(image_size))
        ]

    def drawn_box(self, image_size: Sequence[int], generator: torch.Generator) -> Box:
        """The box of one input: of any slice, and of any window, also between those of `boxes`."""
        size = self._box_size(image_size)
        start = tuple(
            integer(0, extent - part, generator)
            for extent, part in zip(image_size, size, strict=True)
        )
        return Box(start, size)

    def framed(self, region: Tensor) -> Tensor:
        """The input that a box shows, shape [C, *patch_size].

        Args:
            region: its voxels, shape [C, D, H, W]; D is 1 for a 2D network.
        """
        if len(self.patch_size) == 2:
            region = region[:, 0]
        if self.is_whole:
            region = _resized(region, self._fitted_size(region.shape[1:]))
        padding: list[int] = []
        for extent, room in zip(region.shape[:0:-1], self.patch_size[::-1], strict=True):
            padding += [(room - extent) // 2, room - extent - (room - extent) // 2]
        return functional.pad(region, padding)

    def _window(self, image_size: Sequence[int]) -> tuple[int, ...]:
        """The patch with one slice for a missing axis."""
        return (1,) * (len(image_size) - len(self.patch_size)) + self.patch_size

    def _box_size(self, image_size: Sequence[int]) -> tuple[int, ...]:
        if not self.is_whole:
            return tuple(
                min(a, b) for a, b in zip(image_size, self._window(image_size), strict=True)
            )
        return tuple(image_size) if len(self.patch_size) == 3 else (1, *image_size[1:])

    def _starts(self, image_size: Sequence[int]) -> list[list[int]]:
        if self.is_whole:
            num_slices = image_size[0] if len(self.patch_size) == 2 else 1
            return [list(range(num_slices)), [0], [0]]
        size = self._box_size(image_size)
        starts = compute_steps_for_sliding_window(tuple(image_size), size, STEP)
        return [list(range(image_size[0])), *starts[1:]] if len(self.patch_size) == 2 else starts

    def _fitted_size(self, size: Sequence[int]) -> tuple[int, ...]:
        if not self.keep_aspect:
            return self.patch_size
        factor = min(room / extent for room, extent in zip(self.patch_size, size, strict=True))
        return tuple(
            min(room, max(1, round(factor * extent)))
            for room, extent in zip(self.patch_size, size, strict=True)
        )


def framing_of(patch_size: Sequence[int], settings: ClassificationSettings) -> Framing:
    """The framing that the settings ask for.

    Args:
        patch_size: planned.
        settings: of the classification.
    """
    keep_aspect = settings.keep_aspect
    if keep_aspect is None:
        keep_aspect = len(patch_size) == 2
    return Framing(tuple(patch_size), settings.input == "whole", keep_aspect)


def _resized(image: Tensor, size: Sequence[int]) -> Tensor:
    """Linear interpolation with a filter where it reduces, shape [C, *size]."""
    if tuple(image.shape[1:]) == tuple(size):
        return image
    # PyTorch filters in 2D only; the filter of an axis does not depend on the others.
    if len(size) == 3:
        rows = _resized_2d(image, size[1:])
        columns = rows.flatten(2)
        return _resized_2d(columns, (size[0], columns.shape[2])).unflatten(2, tuple(size[1:]))
    return _resized_2d(image, size)


def _resized_2d(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resizes the last two axes of [C, H, W] or [C, D, H, W]."""
    batch = image if image.ndim == 4 else image[None]
    resized = functional.interpolate(
        batch, tuple(size), mode="bilinear", align_corners=False, antialias=True
    )
    return resized if image.ndim == 4 else resized[0]
