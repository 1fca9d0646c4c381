"""Blur, gamma and contrast of many views at once, each channel with values of its own."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nnunetv2_pcrl.views.ranges import extent_of, robust_range

# In voxels; a narrower Gaussian has nothing but its centre.
SMALLEST_SIGMA = 0.1
# Of a power, in place of 0. Its powers vanish beside 1 and are still normal numbers, for gammas
# from 0.4 to 1.9; denormal ones and the logarithm of 0 are fifty times slower.
SMALLEST_BASE = 1e-20
# On a CPU, as many values at a time as fit into its second-level cache with what they become.
_VALUES_AT_A_TIME = 2**16


def blur_matrices(sigmas: Tensor, lengths: Sequence[int]) -> dict[int, Tensor]:
    """Gaussian blurs of a line, borders replicated, as matrices.

    One product is faster than a convolution. Row j holds the weights with which the line's values
    make up value j; weights that fall beyond an end go to the last value there.

    Args:
        sigmas: standard deviations in voxels, shape [V, C]; below 0.1 nothing is blurred.
        lengths: of the lines.

    Returns:
        One [V, C, length, length] per length; none if no sigma reaches 0.1.
    """
    if (sigmas < SMALLEST_SIGMA).all():
        return {}
    sigmas = sigmas[..., None].double()
    radii = torch.where(sigmas < SMALLEST_SIGMA, 0, (3 * sigmas).ceil())
    reach = int(radii.max())
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / sigmas.clamp(min=SMALLEST_SIGMA)) ** 2)
    weights = weights * (offsets.abs() <= radii)
    weights = (weights / weights.sum(-1, keepdim=True)).float()[:, :, None]
    matrices = {}
    for length in set(lengths):
        sources = (torch.arange(length)[:, None] + offsets).clamp(0, length - 1)
        shape = (*sigmas.shape[:2], length, -1)
        matrices[length] = torch.zeros(*shape[:3], length).scatter_add_(
            -1, sources.expand(shape), weights.expand(shape)
        )
    return matrices


def blur_(views: Tensor, matrices: Mapping[int, Tensor]) -> None:
    """Separable blur in place.

    Args:
        views: shape [V, C, (D,) H, W], contiguous.
        matrices: [V, C, length, length] per length of an axis.
    """
    shape = views.shape
    num_lines = math.prod(shape[:2])
    # One matrix per view and channel, as the product of batches has it.
    by_length = {length: matrix.flatten(0, 1) for length, matrix in matrices.items()}
    values = views
    for axis in range(2, len(shape) - 1):
        # Views in turn, and in each all places before the axis.
        lines = values.view(num_lines, math.prod(shape[2:axis]), shape[axis], -1)
        values = by_length[shape[axis]][:, None] @ lines
    rows = values.view(num_lines, -1, shape[-1])
    # The last product has its place in the views themselves.
    torch.bmm(rows, by_length[shape[-1]].mT, out=views.view(rows.shape))


def adjust_gamma_(views: Tensor, gammas: Tensor) -> None:
    """Raises each channel, its range without outermost values scaled to [0, 1], to a power.

    A range of all values would hang on single voxels: metal in CT, hot spots in MR. Values beyond
    the range keep their distance from it, so none are clipped.

    Args:
        views: shape [V, C, (D,) H, W], contiguous.
        gammas: powers above 0, shape [V, C].
    """
    flat = views.view(*views.shape[:2], -1)
    low, high = (end.view(*views.shape[:2], 1) for end in robust_range(flat.flatten(0, 1)))
    extent = extent_of(low, high)
    num_values = flat.shape[-1] if views.is_cuda else _VALUES_AT_A_TIME
    for part in torch.split(flat, num_values, dim=-1):
        part.sub_(low).div_(extent)
        inside = part.clamp(min=SMALLEST_BASE, max=1)
        part.sub_(inside)
        # Exponential and logarithm take a third of the time of pow_, if they see no zero.
        part.add_(inside.log_().mul_(gammas[..., None]).exp_())
        torch.addcmul(low, part, extent, out=part)


def adjust_contrast_(views: Tensor, contrasts: Tensor) -> None:
    """Scales each channel about its mean.

    Args:
        views: shape [V, C, (D,) H, W], contiguous.
        contrasts: factors, shape [V, C].
    """
    flat = views.view(*views.shape[:2], -1)
    factors = contrasts[..., None]
    torch.addcmul((1 - factors) * flat.mean(dim=-1, keepdim=True), flat, factors, out=flat)


def normalize_(views: Tensor) -> None:
    """Gives every channel mean 0 and variance 1; a constant one becomes 0.

    Args:
        views: shape [V, C, (D,) H, W], contiguous.
    """
    flat = views.view(*views.shape[:2], -1)
    variance, mean = torch.var_mean(flat, dim=-1, keepdim=True, correction=0)
    flat.sub_(mean).div_(torch.where(variance > 0, variance, 1).sqrt())
