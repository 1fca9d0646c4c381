"""What a method may know of the plan and of the data: facts, no nnU-Net."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_pcrl.networks.arithmetic import Parts
from nnunetv2_pcrl.views.channels import Channels

# Of nnU-Net's plain U-Nets.
PLAIN = Parts(encoder=0.3, non_skip=0.77)


@dataclass(frozen=True)
class PlanFacts:
    """A configuration of the plans as a method sees it. Axes are in plan order, (D,) H, W.

    Attributes:
        patch_size: planned patch in voxels.
        batch_size: planned for segmentation.
        spacing: mm per voxel.
        strides: of every stage of the encoder, per axis; the first are 1.
        num_channels: of the images.
        normalization: nnU-Net's scheme per channel, e.g. ZScoreNormalization.
        reader: nnU-Net's reader of the images, e.g. SimpleITKIO.
        parts: of the planned network's arithmetic.
        measured: what the channels of the data hold; None as long as nobody looked.
    """

    patch_size: tuple[int, ...]
    batch_size: int
    spacing: tuple[float, ...]
    strides: tuple[tuple[int, ...], ...]
    num_channels: int
    normalization: tuple[str, ...] = ()
    reader: str = ""
    parts: Parts = PLAIN
    measured: Channels | None = None

    @property
    def channels(self) -> Channels:
        """What the channels hold; units of 1 as long as nobody looked."""
        return self.measured or Channels.unmeasured(self.num_channels)

    @property
    def num_axes(self) -> int:
        """2 or 3."""
        return len(self.patch_size)

    @property
    def total_strides(self) -> tuple[tuple[int, ...], ...]:
        """Stride of every stage against the image, per axis."""
        return tuple(tuple(row) for row in np.cumprod(self.strides, axis=0).tolist())

    @property
    def total_stride(self) -> tuple[int, ...]:
        """Stride of the last stage against the image, per axis."""
        return self.total_strides[-1]

    @property
    def known_means(self) -> tuple[float, ...]:
        """Mean of every channel after normalisation: 0 after z-scoring, NaN where it is unknown."""
        schemes = self.normalization
        return tuple(0.0 if name == "ZScoreNormalization" else math.nan for name in schemes)

    @property
    def whole_patch(self) -> tuple[int, ...]:
        """The planned patch, cut to a multiple of the total stride."""
        return tuple(
            max(1, size // stride) * stride
            for size, stride in zip(self.patch_size, self.total_stride, strict=True)
        )


def nearest_multiple(value: float, step: int, least: int = 1) -> int:
    """The multiple of a step that is nearest to a value, at least so many steps."""
    return step * max(least, int(value / step + 0.5))


def check_view_size(name: str, size: Sequence[int], facts: PlanFacts) -> None:
    """Refuses a view that the planned network cannot take.

    Raises:
        ValueError: with the numbers and the remedy.
    """
    stride = facts.total_stride
    if len(size) != facts.num_axes or min(size) < 1:
        raise ValueError(f'"{name}" must be {facts.num_axes} positive integers, got {size!r}')
    if any(s % d for s, d in zip(size, stride, strict=True)):
        raise ValueError(
            f'"{name}" {list(size)} must be a multiple of the total stride {list(stride)} of the '
            f"planned network on every axis"
        )
    if all(s == d for s, d in zip(size, stride, strict=True)):
        raise ValueError(
            f'"{name}" {list(size)} leaves a single voxel at the bottleneck (total stride '
            f"{list(stride)}), which instance normalisation cannot normalise; enlarge it"
        )
