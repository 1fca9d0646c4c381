"""Swaps of patches: any number of them in a few indexed copies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box


@dataclass(frozen=True)
class PreparedSwaps:
    """Swaps of V views as places in the flat memory of all views.

    Attributes:
        rounds: int64 [2, n] each, first voxels of n pairs of patches in channel 0. Patches of
            different pairs of a round do not touch, so all its pairs change places at once.
        voxels: int64 [C, P], the P voxels of a patch in every channel, counted from the first.
    """

    rounds: tuple[Tensor, ...]
    voxels: Tensor


def prepare_swaps(
    swaps: Sequence[Sequence[tuple[Box, Box]]], view_size: Sequence[int], num_channels: int
) -> PreparedSwaps | None:
    """Sorts swaps that are to be done one after the other into rounds.

    Args:
        swaps: pairs of boxes per view, all boxes of one size.
        view_size: voxels per axis.
        num_channels: channels of the views.

    Returns:
        The rounds, or None if there is no swap.
    """
    sizes = {box.size for pairs in swaps for pair in pairs for box in pair}
    if not sizes:
        return None
    assert len(sizes) == 1, sizes
    (patch,) = sizes
    volume = int(np.prod(view_size))
    strides = np.cumprod((1, *reversed(view_size)))[-2::-1]
    rounds: list[list[np.ndarray]] = []
    for view, pairs in enumerate(swaps):
        starts = np.array([[a.start, b.start] for a, b in pairs]).reshape(-1, 2, len(patch))
        flat = view * num_channels * volume + starts @ strides
        for number, places in enumerate(_rounds_of(starts, patch)):
            if number == len(rounds):
                rounds.append([])
            rounds[number].append(flat[places].T)
    inside = np.indices(patch).reshape(len(patch), -1).T @ strides
    return PreparedSwaps(
        tuple(torch.from_numpy(np.concatenate(flats, axis=1)) for flats in rounds),
        torch.from_numpy(np.arange(num_channels)[:, None] * volume + inside),
    )


def _rounds_of(starts: np.ndarray, patch: Sequence[int]) -> list[np.ndarray]:
    """Which pairs belong to which round; a pair comes after all earlier ones that it touches.

    Args:
        starts: of the pairs' patches, [n, 2, N].
        patch: size of a patch.
    """
    touches: np.ndarray = np.ones((starts.shape[0] * 2,) * 2, dtype=bool)
    for axis, side in enumerate(patch):
        places = starts[..., axis].reshape(-1)
        touches &= np.abs(places[:, None] - places) < side
    touching_pairs = touches.reshape(len(starts), 2, len(starts), 2).any((1, 3))
    waits_for = np.tril(touching_pairs, -1)
    rounds, previous = np.zeros(len(starts), dtype=int), None
    while previous is None or (rounds != previous).any():
        previous = rounds
        rounds = (waits_for * (previous + 1)).max(axis=1, initial=0)
    return [np.flatnonzero(rounds == number) for number in range(rounds.max(initial=-1) + 1)]


def swap_patches_(views: Tensor, swaps: PreparedSwaps) -> None:
    """Exchanges pairs of patches in place, in all channels alike.

    Args:
        views: shape [V, C, (D,) H, W], contiguous.
        swaps: prepared for views of this shape.
    """
    flat = views.view(-1)
    for starts in swaps.rounds:
        a, b = starts[..., None, None] + swaps.voxels
        values = flat[a]
        flat[a] = flat[b]
        flat[b] = values
