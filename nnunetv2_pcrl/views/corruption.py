"""Corruption of a view's input: patch swaps, cut-outs, blur, noise, gamma and contrast.

Everything is drawn first (`draw_corruption`) and applied second (`corrupt`), on a copy: the clean
view stays what the network has to restore.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box, draw_box_within
from nnunetv2_pcrl.views.seeding import integer, uniform


@dataclass(frozen=True)
class CorruptionRanges:
    """How strongly views are corrupted.

    Intensities are upper ends, and 0 switches them off, as it does for `swapped_part` and
    `num_cut_outs`.

    Attributes:
        swapped_part: part of a global view's voxels that patch swaps touch.
        patch_part: side of a swapped patch over the side of the view.
        num_cut_outs: cut-outs of a global view.
        cut_out_part: side of a cut-out over the side of the view.
        blur_sigma: standard deviation of the Gaussian blur, in voxels of the view.
        noise_std: standard deviation of the Gaussian noise, in units of the preprocessed image.
        log_gamma: gamma is drawn from exp(-log_gamma)..exp(log_gamma).
        contrast: factor about the mean, drawn from 1-contrast..1+contrast.
    """

    swapped_part: float
    patch_part: float
    num_cut_outs: int
    cut_out_part: float
    blur_sigma: float
    noise_std: float
    log_gamma: float
    contrast: float

    def of_local_views(self) -> "CorruptionRanges":
        """The same intensities without anything that moves or removes content."""
        return replace(self, swapped_part=0.0, num_cut_outs=0)


@dataclass(frozen=True)
class Corruption:
    """Drawn corruption of one view. Places are shared by all channels, intensities are not.

    Attributes:
        swaps: pairs of separate boxes of the view that change places, in this order.
        cut_outs: boxes that are filled with the channel's mean.
        blur_sigmas, noise_stds, gammas, contrasts: one value per channel.
        noise_seed: seed of the noise.
    """

    swaps: tuple[tuple[Box, Box], ...]
    cut_outs: tuple[Box, ...]
    blur_sigmas: tuple[float, ...]
    noise_stds: tuple[float, ...]
    gammas: tuple[float, ...]
    contrasts: tuple[float, ...]
    noise_seed: int


def draw_corruption(
    view_size: Sequence[int],
    num_channels: int,
    ranges: CorruptionRanges,
    generator: torch.Generator,
) -> Corruption:
    """Draws how a view of this size and number of channels is corrupted."""
    view = Box((0,) * len(view_size), tuple(view_size))
    patch = _part_of(view_size, ranges.patch_part)
    # Each swap touches two patches.
    num_swaps = round(ranges.swapped_part * view.volume / (2 * math.prod(patch)))
    hole = _part_of(view_size, ranges.cut_out_part)

    def per_channel(low: float, high: float) -> tuple[float, ...]:
        return tuple(uniform(low, high, generator) for _ in range(num_channels))

    pairs = [
        (draw_box_within(patch, view, generator), draw_box_within(patch, view, generator))
        for _ in range(num_swaps)
    ]
    return Corruption(
        # The few pairs that overlap themselves could not change places without losing values.
        swaps=tuple((a, b) for a, b in pairs if a.iou(b) == 0),
        cut_outs=tuple(draw_box_within(hole, view, generator) for _ in range(ranges.num_cut_outs)),
        blur_sigmas=per_channel(0.0, ranges.blur_sigma),
        noise_stds=per_channel(0.0, ranges.noise_std),
        gammas=tuple(math.exp(v) for v in per_channel(-ranges.log_gamma, ranges.log_gamma)),
        contrasts=per_channel(1 - ranges.contrast, 1 + ranges.contrast),
        noise_seed=integer(0, 2**31 - 1, generator),
    )


def _part_of(size: Sequence[int], part: float) -> tuple[int, ...]:
    return tuple(max(1, round(part * s)) for s in size)


def corrupt(view: Tensor, corruption: Corruption) -> Tensor:
    """The corrupted view as a new tensor; `view` is not modified.

    Args:
        view: shape [C, (D,) H, W], any range.
        corruption: drawn for this size and number of channels.
    """
    corrupted = view.clone()
    swap_patches(corrupted, corruption.swaps)
    for hole in corruption.cut_outs:
        index = (slice(None), *hole.slices)
        corrupted[index] = view.mean(dim=tuple(range(1, view.ndim)), keepdim=True)
    for channel, original in enumerate(corrupted.unbind(0)):
        values = gaussian_blur(original, corruption.blur_sigmas[channel])
        values = adjust_gamma(values, corruption.gammas[channel])
        corrupted[channel] = adjust_contrast(values, corruption.contrasts[channel])
    # Noise comes from the CPU generator also for views on a GPU: equal draws, equal views.
    noise_generator = torch.Generator().manual_seed(corruption.noise_seed)
    noise = torch.randn(view.shape, generator=noise_generator, dtype=torch.float32)
    stds = corrupted.new_tensor(corruption.noise_stds).view(-1, *[1] * (view.ndim - 1))
    return corrupted.addcmul_(noise.to(corrupted), stds)


def swap_patches(view: Tensor, swaps: Sequence[tuple[Box, Box]]) -> None:
    """Exchanges pairs of patches in place, one after the other, in all channels alike."""
    for a, b in swaps:
        index_a, index_b = (slice(None), *a.slices), (slice(None), *b.slices)
        values_a, values_b = view[index_a].clone(), view[index_b].clone()
        view[index_a] = values_b
        view[index_b] = values_a


def gaussian_blur(channel: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian blur with replicated borders.

    Args:
        channel: shape [(D,) H, W].
        sigma: standard deviation in voxels; below 0.1 the image is returned as it is.
    """
    if sigma < 0.1:
        return channel
    blurred = channel
    for axis in range(channel.ndim):
        kernel = _blur_matrix(channel.shape[axis], sigma).to(channel)
        blurred = (blurred.movedim(axis, -1) @ kernel).movedim(-1, axis)
    return blurred


def _blur_matrix(length: int, sigma: float) -> Tensor:
    """The blur of a line as a matrix [length, length]: one product is faster than a convolution.

    Column j holds the weights with which the line's values make up value j; weights that fall
    beyond an end go to the last value there.
    """
    radius = math.ceil(3 * sigma)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    sources = (torch.arange(length)[:, None] + offsets).clamp(0, length - 1)
    matrix = torch.zeros(length, length)
    return matrix.scatter_add_(1, sources, weights.expand(length, -1)).T


def adjust_gamma(channel: Tensor, gamma: float) -> Tensor:
    """Raises the channel, scaled to [0, 1] by its own range, to a power and scales it back."""
    low, high = channel.min(), channel.max()
    extent = high - low
    if gamma == 1 or extent <= 0:
        return channel
    return ((channel - low) / extent).clamp_(0, 1).pow_(gamma) * extent + low


def adjust_contrast(channel: Tensor, factor: float) -> Tensor:
    """Scales the channel about its mean."""
    if factor == 1:
        return channel
    mean = channel.mean()
    return (channel - mean) * factor + mean
