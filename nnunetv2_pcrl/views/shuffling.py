"""Voxels that change places inside small windows: texture is lost, shape stays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.views.noise import hashes
from nnunetv2_pcrl.views.seeding import integer

# The side of the view over the edge of the largest window.
_SIDE_OVER_LARGEST = 10
_NUM_ROUNDS = 8
# Values that the permutations of a round are made of, about.
_PERMUTED = 2**13


@dataclass(frozen=True)
class ShufflingRound:
    """Windows of one size that do not touch one another.

    Attributes:
        size: of a window, voxels per axis.
        starts: first voxel of every window in the flat view, int64 [n].
        key: of the permutations.
    """

    size: tuple[int, ...]
    starts: Tensor
    key: int


def draw_shuffling(
    view_size: Sequence[int], part: float, generator: torch.Generator
) -> tuple[ShufflingRound, ...]:
    """Draws windows that together touch about a part of the voxels.

    Args:
        view_size: voxels per axis.
        part: of the voxels, in (0, 1).
        generator: random source.

    Returns:
        Rounds of windows, to be shuffled one after the other.

    Source: Zhou et al. 2021 (Models Genesis). The authors draw 10,000 windows with edges from 1 to
        a tenth of the view's, uniformly, and permute each on its own. Here windows of a round have
        one size, lie on a grid that is shifted at random, and share a few permutations, so that
        all of them are shuffled at once. An edge is drawn with a chance in proportion to its
        length, which gives the voxels the same mixture of windows. Of 64 x 64 x 32 voxels the
        authors' windows touch 82 % and move 78 %, and so do these at a part of 0.85: it is reached
        away from the border, where fewer windows fit.
    """
    volume = math.prod(view_size)
    wanted = volume * (1 - (1 - part) ** (1 / _NUM_ROUNDS))
    rounds = []
    for _ in range(_NUM_ROUNDS):
        size = tuple(_draw_edge(edge, generator) for edge in _largest_window(view_size))
        starts = _draw_starts(view_size, size, round(wanted / math.prod(size)), generator)
        rounds.append(ShufflingRound(size, starts, integer(-(2**31), 2**31 - 1, generator)))
    return tuple(rounds)


def _largest_window(view_size: Sequence[int]) -> tuple[int, ...]:
    """Edges of the largest window; of a small view it has two voxels along the longest axis."""
    longest = max(view_size)
    return tuple(
        max(min(2, side) if side == longest else 1, side // _SIDE_OVER_LARGEST)
        for side in view_size
    )


def _draw_edge(largest: int, generator: torch.Generator) -> int:
    """An edge from 1 to the largest, with a chance in proportion to its length."""
    edges = torch.arange(1, largest + 1)
    return int(edges[torch.multinomial(edges.double(), 1, generator=generator)])


def _draw_starts(
    view_size: Sequence[int], size: Sequence[int], number: int, generator: torch.Generator
) -> Tensor:
    """First voxels of windows of a grid with a random offset, in a random order."""
    axes = []
    for side, edge in zip(view_size, size, strict=True):
        offset = integer(0, min(edge - 1, side - edge), generator)
        axes.append(torch.arange(offset, side - edge + 1, edge))
    flat = torch.zeros((), dtype=torch.int64)
    for places, side in zip(axes, view_size, strict=True):
        flat = flat[..., None] * side + places
    flat = flat.flatten()
    return flat[torch.randperm(len(flat), generator=generator)[:number]]


def shuffle_(view: Tensor, rounds: Sequence[ShufflingRound]) -> None:
    """Shuffles the voxels of every window in place, in all channels alike.

    Every window takes the values of the view as it was and is written over earlier ones. A round
    has several permutations, which its windows share.

    Args:
        view: shape [C, (D,) H, W], contiguous.
        rounds: of `draw_shuffling`, on the view's device.
    """
    if not rounds:
        return
    flat = view.view(len(view), -1)
    original = flat.clone()
    for each in rounds:
        inside = _inside(each.size, view.shape[1:], view.device)
        orders = _permutations(len(inside), len(each.starts), each.key, view.device)
        chosen = torch.arange(len(each.starts), device=view.device) % len(orders)
        places = (each.starts[:, None] + inside).flatten()
        sources = (each.starts[:, None] + inside[orders][chosen]).flatten()
        for channel, values in zip(flat, original, strict=True):
            channel.index_copy_(0, places, values.index_select(0, sources))


def _inside(size: Sequence[int], view_size: Sequence[int], device: torch.device) -> Tensor:
    """The voxels of a window in the flat view, counted from its first one."""
    flat = torch.zeros((), dtype=torch.int64, device=device)
    for edge, side in zip(size, view_size, strict=True):
        flat = flat[..., None] * side + torch.arange(edge, device=device)
    return flat.flatten()


def _permutations(length: int, number: int, key: int, device: torch.device) -> Tensor:
    """At most so many permutations of so many voxels, one a row, the same on every device."""
    count = max(1, min(number, _PERMUTED // length))
    keys = torch.tensor([key], dtype=torch.int32, device=device)
    return hashes(keys, 0, count * length).view(count, length).argsort(dim=1, stable=True)
