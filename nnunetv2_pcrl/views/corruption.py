"""Corruption of a view's input: patch swaps, cut-outs, blur, noise, gamma and contrast.

Everything is drawn first (`draw_corruption`) and applied second (`corrupt_`), on a copy: the clean
view stays what the network has to restore. In between, `prepare_corruption` brings the draws of
many views into tensors, so that applying them takes few operations, on any device.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box, draw_box_within
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.intensity import (
    adjust_contrast_,
    adjust_gamma_,
    blur_,
    blur_matrices,
    normalize_,
)
from nnunetv2_pcrl.views.noise import add_noise_, noise_key
from nnunetv2_pcrl.views.seeding import integer, uniform
from nnunetv2_pcrl.views.swaps import PreparedSwaps, prepare_swaps, swap_patches_


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
        noise_std: standard deviation of the Gaussian noise, in units of the channel's own.
        log_gamma: gamma is drawn from exp(-log_gamma)..exp(log_gamma).
        contrast: factor about the mean, drawn from 1-contrast..1+contrast.
        swaps_last: swap patches after all other changes, and not before.
        normalize_views: give every channel mean 0 and variance 1 in the end.
    """

    swapped_part: float
    patch_part: float
    num_cut_outs: int
    cut_out_part: float
    blur_sigma: float
    noise_std: float
    log_gamma: float
    contrast: float
    swaps_last: bool = False
    normalize_views: bool = False

    def of_local_views(self) -> "CorruptionRanges":
        """The same intensities without anything that moves or removes content."""
        return replace(self, swapped_part=0.0, num_cut_outs=0)


@dataclass(frozen=True)
class Corruption:
    """Drawn corruption of one view. Places are shared by all channels, intensities are not.

    Channels that are copies of one another share intensities too, noise included: otherwise a
    network reads the clean channel off its neighbour.

    Attributes:
        swaps: pairs of separate boxes of the view that change places, in this order.
        cut_outs: boxes that are filled with the channel's mean.
        blur_sigmas, noise_stds, gammas, contrasts: one value per channel.
        noise_seed: seed of the noise.
        sources: for every channel the first one with the same values.
        swaps_last, normalize_views: see `CorruptionRanges`.
    """

    swaps: tuple[tuple[Box, Box], ...]
    cut_outs: tuple[Box, ...]
    blur_sigmas: tuple[float, ...]
    noise_stds: tuple[float, ...]
    gammas: tuple[float, ...]
    contrasts: tuple[float, ...]
    noise_seed: int
    sources: tuple[int, ...]
    swaps_last: bool = False
    normalize_views: bool = False


def draw_corruption(
    view_size: Sequence[int],
    channels: Channels,
    ranges: CorruptionRanges,
    generator: torch.Generator,
) -> Corruption:
    """Draws how a view of this size, with these channels, is corrupted."""
    view = Box((0,) * len(view_size), tuple(view_size))
    patch = _part_of(view_size, ranges.patch_part)
    # Each swap touches two patches.
    num_swaps = round(ranges.swapped_part * view.volume / (2 * math.prod(patch)))
    hole = _part_of(view_size, ranges.cut_out_part)

    def per_channel(low: float, high: float) -> tuple[float, ...]:
        values = [uniform(low, high, generator) for _ in channels.stds]
        return tuple(values[source] for source in channels.sources)

    return Corruption(
        swaps=_draw_swaps(num_swaps, patch, view_size, generator),
        cut_outs=tuple(draw_box_within(hole, view, generator) for _ in range(ranges.num_cut_outs)),
        blur_sigmas=per_channel(0.0, ranges.blur_sigma),
        noise_stds=tuple(
            part * std
            for part, std in zip(per_channel(0.0, ranges.noise_std), channels.stds, strict=True)
        ),
        gammas=tuple(math.exp(v) for v in per_channel(-ranges.log_gamma, ranges.log_gamma)),
        contrasts=per_channel(1 - ranges.contrast, 1 + ranges.contrast),
        noise_seed=integer(0, 2**31 - 1, generator),
        sources=channels.sources,
        swaps_last=ranges.swaps_last,
        normalize_views=ranges.normalize_views,
    )


def _draw_swaps(
    number: int, patch: tuple[int, ...], view_size: Sequence[int], generator: torch.Generator
) -> tuple[tuple[Box, Box], ...]:
    """Pairs of patches anywhere in the view, at most so many; drawn at once for speed."""
    starts = torch.stack(
        [
            torch.randint(0, limit - side + 1, (number, 2), generator=generator)
            for limit, side in zip(view_size, patch, strict=True)
        ],
        dim=-1,
    )
    # The few pairs that overlap themselves could not change places without losing values.
    is_apart = (starts.diff(dim=1).abs()[:, 0] >= torch.tensor(patch)).any(-1)
    return tuple((Box(tuple(a), patch), Box(tuple(b), patch)) for a, b in starts[is_apart].tolist())


def _part_of(size: Sequence[int], part: float) -> tuple[int, ...]:
    return tuple(max(1, round(part * s)) for s in size)


@dataclass(frozen=True)
class PreparedCorruption:
    """Corruptions of V views of one size as small tensors, ready for any device.

    Attributes:
        swaps: of all views; None for none.
        cut_outs: boxes per view.
        blurs: see `blur_matrices`.
        gammas, contrasts, noise_stds: [V, C], or None where they would change nothing.
        noise_keys: int32 [V, C].
        swaps_last, normalize_views: see `CorruptionRanges`.
    """

    swaps: PreparedSwaps | None
    cut_outs: tuple[tuple[Box, ...], ...]
    blurs: dict[int, Tensor]
    gammas: Tensor | None
    contrasts: Tensor | None
    noise_stds: Tensor | None
    noise_keys: Tensor
    swaps_last: bool = False
    normalize_views: bool = False


def prepare_corruption(
    corruptions: Sequence[Corruption], view_size: Sequence[int]
) -> PreparedCorruption:
    """Brings what was drawn for views of one size into the form that `corrupt_` takes."""

    def per_channel(name: str, neutral: float) -> Tensor | None:
        values = torch.tensor([getattr(corruption, name) for corruption in corruptions])
        return values if (values != neutral).any() else None

    sigmas = per_channel("blur_sigmas", 0.0)
    keys = [[noise_key(c.noise_seed, source) for source in c.sources] for c in corruptions]
    num_channels = len(keys[0])
    return PreparedCorruption(
        swaps=prepare_swaps([c.swaps for c in corruptions], view_size, num_channels),
        cut_outs=tuple(c.cut_outs for c in corruptions),
        blurs={} if sigmas is None else blur_matrices(sigmas, view_size),
        gammas=per_channel("gammas", 1.0),
        contrasts=per_channel("contrasts", 1.0),
        noise_stds=per_channel("noise_stds", 0.0),
        noise_keys=torch.tensor(keys, dtype=torch.int32),
        swaps_last=corruptions[0].swaps_last,
        normalize_views=corruptions[0].normalize_views,
    )


def corrupt_(views: Tensor, corruption: PreparedCorruption) -> None:
    """Corrupts views in place.

    Args:
        views: shape [V, C, (D,) H, W], contiguous, any range.
        corruption: prepared for these views, on their device.
    """
    # Of the views as they were, before anything else changes them.
    means = views.flatten(2).mean(-1) if any(corruption.cut_outs) else views[:0]
    if corruption.swaps is not None and not corruption.swaps_last:
        swap_patches_(views, corruption.swaps)
    for view, holes in enumerate(corruption.cut_outs):
        for hole in holes:
            inside = views[view][(slice(None), *hole.slices)]
            inside.copy_(means[view].view(-1, *[1] * len(hole.size)))
    for part in _parts(views):
        _change_intensities_(views, corruption, part)
    if corruption.swaps is not None and corruption.swaps_last:
        swap_patches_(views, corruption.swaps)
    if corruption.normalize_views:
        normalize_(views)


def _parts(views: Tensor) -> Iterator[tuple[slice, slice]]:
    """Channels of views that are worked on at a time: all on a GPU, to keep it busy.

    On a CPU each of its own, because it stays in the cache.
    """
    if views.is_cuda:
        yield slice(None), slice(None)
        return
    for view in range(views.shape[0]):
        for channel in range(views.shape[1]):
            yield slice(view, view + 1), slice(channel, channel + 1)


def _change_intensities_(
    views: Tensor, corruption: PreparedCorruption, part: tuple[slice, slice]
) -> None:
    values = views[part]
    if corruption.blurs:
        matrices = {length: m[part].to(values) for length, m in corruption.blurs.items()}
        blur_(values, matrices)
    if corruption.gammas is not None:
        adjust_gamma_(values, corruption.gammas[part].to(values))
    if corruption.contrasts is not None:
        adjust_contrast_(values, corruption.contrasts[part].to(values))
    if corruption.noise_stds is not None:
        add_noise_(values, corruption.noise_keys[part], corruption.noise_stds[part])
