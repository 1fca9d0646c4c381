"""Convolution kernels of another size or dimension."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def fit_kernel(weight: Tensor, kernel_size: Sequence[int], transposed: bool) -> Tensor:
    """Gives a convolution's weight another kernel size, axis by axis.

    A convolution's kernel grows by zeros around it, which leaves its output as it is, and shrinks
    by adding the outer taps to the nearest tap that stays (3 -> 1 is the sum), which leaves its
    response to an image that does not vary along the axis. A transposed convolution of nnU-Net has
    its stride as kernel: taps are repeated or averaged, so that every output voxel gets the mean.
    2D becomes 3D by a new first axis with one tap, grown in the same way; 3D becomes 2D by
    shrinking the first axis to one tap and dropping it.

    Args:
        weight: shape [_, _, k...], two or three spatial axes.
        kernel_size: target size per spatial axis, one axis more or fewer or as many.
        transposed: whether it belongs to a transposed convolution.
    """
    num_axes = weight.ndim - 2
    if len(kernel_size) > num_axes:
        weight = weight.unsqueeze(2)
    fit_axis = _fit_transposed_axis if transposed else _fit_axis
    if len(kernel_size) < num_axes:
        weight = fit_axis(weight, 2, 1).squeeze(2)
    for axis, size in enumerate(kernel_size, start=2):
        weight = fit_axis(weight, axis, size)
    return weight


def _fit_axis(weight: Tensor, axis: int, size: int) -> Tensor:
    taps = weight.movedim(axis, -1)
    surplus = taps.shape[-1] - size
    if surplus <= 0:
        before = -surplus // 2
        return functional.pad(taps, (before, -surplus - before)).movedim(-1, axis)
    first = surplus // 2
    kept = taps[..., first : first + size].clone()
    kept[..., 0] += taps[..., :first].sum(-1)
    kept[..., -1] += taps[..., first + size :].sum(-1)
    return kept.movedim(-1, axis)


def _fit_transposed_axis(weight: Tensor, axis: int, size: int) -> Tensor:
    taps = weight.movedim(axis, -1)
    fitted = functional.adaptive_avg_pool1d(taps.reshape(1, -1, taps.shape[-1]), size)
    return fitted.reshape(*taps.shape[:-1], size).movedim(-1, axis)
