"""Boxes of a view that are painted over with noise, or all of it but a few windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box, draw_box_within
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.noise import noise_key, uniform_noise
from nnunetv2_pcrl.views.seeding import integer, uniform

# Source: Zhou et al. 2021 (Models Genesis); as in the authors' code.
_MOST_BOXES, _P_ANOTHER = 5, 0.95
# Edges over the view's side, lowest and highest: of painted boxes, and of windows that stay.
_INNER_PART, _OUTER_PART = (1 / 6, 1 / 3), (3 / 7, 4 / 7)
# Voxels between a painted box and the border of the view, where there is room.
_MARGIN = 3


@dataclass(frozen=True)
class Painting:
    """Which part of a view is noise.

    Attributes:
        boxes: that are painted; where `is_outer`, that stay as they are.
        is_outer: whether everything outside the boxes is painted.
        keys: of the noise of every channel.
    """

    boxes: tuple[Box, ...]
    is_outer: bool
    keys: Tensor


def draw_inner_painting(
    view_size: Sequence[int], channels: Channels, generator: torch.Generator
) -> Painting:
    """At most five boxes, some voxels from the border: the network sees what surrounds them."""
    count = 0
    while count < _MOST_BOXES and uniform(0, 1, generator) < _P_ANOTHER:
        count += 1
    boxes = []
    for _ in range(count):
        size = _draw_size(view_size, _INNER_PART, generator)
        boxes.append(draw_box_within(size, _room_for(size, view_size), generator))
    return Painting(tuple(boxes), False, _draw_keys(channels, generator))


def draw_outer_painting(
    view_size: Sequence[int], channels: Channels, generator: torch.Generator
) -> Painting:
    """All but one to five windows: the network sees the inside and restores what surrounds it."""
    count = 1
    while count < _MOST_BOXES and uniform(0, 1, generator) < _P_ANOTHER:
        count += 1
    whole = Box((0,) * len(view_size), tuple(view_size))
    boxes = [
        draw_box_within(_draw_size(view_size, _OUTER_PART, generator), whole, generator)
        for _ in range(count)
    ]
    return Painting(tuple(boxes), True, _draw_keys(channels, generator))


def _room_for(size: Sequence[int], view_size: Sequence[int]) -> Box:
    """The view without its margin, which is narrower where a painted box needs the room."""
    margins = tuple(min(_MARGIN, (n - s) // 2) for n, s in zip(view_size, size, strict=True))
    return Box(margins, tuple(n - 2 * m for n, m in zip(view_size, margins, strict=True)))


def _draw_size(
    view_size: Sequence[int], part: tuple[float, float], generator: torch.Generator
) -> tuple[int, ...]:
    low, high = part
    return tuple(
        integer(max(1, int(low * side)), max(1, int(high * side)), generator) for side in view_size
    )


def _draw_keys(channels: Channels, generator: torch.Generator) -> Tensor:
    seed = integer(0, 2**31 - 1, generator)
    keys = [noise_key(seed, source) for source in channels.sources]
    return torch.tensor(keys, dtype=torch.int32)


def paint_(view: Tensor, painting: Painting, low: Tensor, high: Tensor) -> None:
    """Paints in place, with noise that is uniform over the range of every channel.

    Args:
        view: shape [C, (D,) H, W].
        painting: drawn for views of this size, on the view's device.
        low, high: of every channel, [C].
    """
    if not painting.boxes and not painting.is_outer:
        return
    noise = uniform_noise(view.shape, painting.keys, low, high)
    painted, kept = (noise, view) if painting.is_outer else (view, noise)
    for box in painting.boxes:
        where = (slice(None), *box.slices)
        painted[where] = kept[where]
    if painting.is_outer:
        view.copy_(noise)
