"""Blocks of a view that are hidden from the network."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def draw_blocks(
    view_size: Sequence[int],
    block_size: Sequence[int],
    ratio: float,
    generator: torch.Generator,
) -> Tensor:
    """Which blocks of a regular grid are hidden: exactly floor(ratio n) of n, all alike likely.

    Args:
        view_size, block_size: voxels per axis; the last block of an axis may stand out.
        ratio: of hidden blocks, in (0, 1).
        generator: random source.

    Returns:
        Bool, one value per block; at least one is hidden and one is not.
    """
    grid = [-(-size // edge) for size, edge in zip(view_size, block_size, strict=True)]
    count = math.prod(grid)
    hidden = min(max(1, math.floor(ratio * count)), count - 1)
    blocks = torch.zeros(count, dtype=torch.bool)
    blocks[torch.randperm(count, generator=generator)[:hidden]] = True
    return blocks.view(grid)


def mask_of(blocks: Tensor, block_size: Sequence[int], view_size: Sequence[int]) -> Tensor:
    """The mask of a view from its blocks, [1, 1, (D,) H, W]."""
    for axis, (edge, size) in enumerate(zip(block_size, view_size, strict=True), start=2):
        blocks = blocks.repeat_interleave(edge, dim=axis).narrow(axis, 0, size)
    return blocks


def hidden_from(views: Tensor, mask: Tensor, fills: Tensor) -> Tensor:
    """The views whose hidden voxels hold a fill: they say nothing of what they hide.

    Args:
        views: shape [V, C, (D,) H, W]; not modified.
        mask: bool [1, 1, (D,) H, W], true where hidden.
        fills: value of hidden voxels per channel, [C]; NaN for the mean of the visible ones.
    """
    visible = (~mask).sum().clamp_min(1)
    means = views.masked_fill(mask, 0.0).flatten(2).sum(dim=2) / visible
    values = torch.where(fills.isnan(), means, fills.to(means))
    return torch.where(mask, values.view(*values.shape, *[1] * (views.ndim - 2)), views)
