"""The range of a view's values without the outermost ones, cheaply."""

import torch
from torch import Tensor

# Left out at either end, as in nnU-Net's normalisation of CT.
OUTER_PART = 0.005
# Values of a channel that are looked at, about.
_SAMPLES = 2**14


def robust_range(view: Tensor) -> tuple[Tensor, Tensor]:
    """The percentiles 0.5 and 99.5 of every channel, of evenly spaced voxels.

    Args:
        view: shape [C, (D,) H, W].

    Returns:
        Lowest and highest value, each [C].
    """
    flat = view.flatten(1)
    # Odd, so that it does not fall on the same place of every row.
    step = max(1, flat.shape[1] // _SAMPLES) | 1
    values = flat[:, ::step]
    last = values.shape[1] - 1
    # As a sort would have them, without the sort: the few outermost values of either end.
    num_low = round(OUTER_PART * last) + 1
    num_high = last + 1 - round((1 - OUTER_PART) * last)
    lowest = values.topk(num_low, dim=1, largest=False).values
    return lowest[:, -1], values.topk(num_high, dim=1).values[:, -1]


def part_of_range(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Values [C, n] such that the range of their channel becomes [0, 1]; none is clipped."""
    return (values - low[:, None]) / extent_of(low, high)[:, None]


def extent_of(low: Tensor, high: Tensor) -> Tensor:
    """Width of a range; 1 where it has none."""
    return torch.where(high > low, high - low, 1)
