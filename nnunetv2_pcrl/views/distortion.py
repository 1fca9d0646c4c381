"""Distortion of a view's input by shuffling, a curve of intensities and painting.

Drawn first, applied second, on a copy: the clean view stays what the network has to restore.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.curves import bend_, draw_curve, tables_of
from nnunetv2_pcrl.views.painting import (
    Painting,
    draw_inner_painting,
    draw_outer_painting,
    paint_,
)
from nnunetv2_pcrl.views.ranges import robust_range
from nnunetv2_pcrl.views.seeding import uniform
from nnunetv2_pcrl.views.shuffling import ShufflingRound, draw_shuffling, shuffle_


@dataclass(frozen=True)
class DistortionChances:
    """How often a view is distorted, each in [0, 1].

    Attributes:
        p_shuffling: that voxels change places.
        shuffled_part: of the voxels of a shuffled view.
        p_curve: that intensities are bent.
        p_painting: that a part is painted over.
        p_outer: of painted views, that all but a few windows are.
    """

    p_shuffling: float
    shuffled_part: float
    p_curve: float
    p_painting: float
    p_outer: float


@dataclass(frozen=True)
class Distortion:
    """Drawn distortion of one view. Places are shared by all channels, intensities by copies only.

    Attributes:
        shuffling: see `shuffle_`; none if nothing changes places.
        curves: see `bend_`; None for none.
        painting: see `paint_`; None for none.
    """

    shuffling: tuple[ShufflingRound, ...]
    curves: Tensor | None
    painting: Painting | None


def draw_distortion(
    view_size: Sequence[int],
    channels: Channels,
    chances: DistortionChances,
    generator: torch.Generator,
) -> Distortion:
    """Draws the distortion of a view.

    Source: Zhou et al. 2021 (Models Genesis).
    """

    def happens(chance: float) -> bool:
        return uniform(0, 1, generator) < chance

    shuffling: tuple[ShufflingRound, ...] = ()
    curves, painting = None, None
    if happens(chances.p_shuffling):
        shuffling = draw_shuffling(view_size, chances.shuffled_part, generator)
    if happens(chances.p_curve):
        drawn = [draw_curve(generator) for _ in channels.sources]
        curves = tables_of(tuple(drawn[source] for source in channels.sources))
    if happens(chances.p_painting):
        draw = draw_outer_painting if happens(chances.p_outer) else draw_inner_painting
        painting = draw(view_size, channels, generator)
    return Distortion(shuffling, curves, painting)


def distort_(view: Tensor, distortion: Distortion) -> None:
    """Distorts a view in place: first places, then intensities, then what is painted over.

    All of it is relative to the range of the view without its outermost values; nothing is clipped.

    Args:
        view: shape [C, (D,) H, W], contiguous.
        distortion: drawn for views of this size, on the view's device.
    """
    low, high = robust_range(view)
    shuffle_(view, distortion.shuffling)
    if distortion.curves is not None:
        bend_(view, distortion.curves, low, high)
    if distortion.painting is not None:
        paint_(view, distortion.painting, low, high)
