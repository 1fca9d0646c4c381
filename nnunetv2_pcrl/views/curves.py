"""Intensities bent along a curve, each channel along its own."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nnunetv2_pcrl.views.ranges import extent_of, part_of_range
from nnunetv2_pcrl.views.seeding import coin

# Straight pieces that stand for a curve.
_PIECES = 256


@dataclass(frozen=True)
class Curve:
    """A cubic Bezier curve from (0, 0) to (1, 1), or from (0, 1) to (1, 0).

    With control points in the unit square it is a monotone function of [0, 1] onto itself.

    Attributes:
        controls: the two points between its ends, (x, y), of the rising curve.
        falls: whether it is read from its end: bright becomes dark.
    """

    controls: tuple[tuple[float, float], tuple[float, float]]
    falls: bool

    @property
    def table(self) -> np.ndarray:
        """Its value at evenly spaced places of [0, 1]."""
        t = np.linspace(0, 1, 4 * _PIECES + 1)[:, None]
        (first, second) = np.array(self.controls)
        points = 3 * t * (1 - t) ** 2 * first + 3 * t**2 * (1 - t) * second + t**3
        x, y = points.T
        places = np.linspace(0, 1, _PIECES + 1)
        table: np.ndarray = np.interp(places, x, y[::-1] if self.falls else y)
        return table


def draw_curve(generator: torch.Generator) -> Curve:
    """A curve with control points anywhere in the unit square; half of them fall.

    Source: Zhou et al. 2021 (Models Genesis); as in the authors' code.
    """
    (first, second) = torch.rand(2, 2, generator=generator).tolist()
    return Curve((tuple(first), tuple(second)), coin(generator))


def tables_of(curves: tuple[Curve, ...]) -> Tensor:
    """The curves of all channels in the form that `bend_` takes, [C, places]."""
    return torch.from_numpy(np.stack([curve.table for curve in curves]).astype(np.float32))


def bend_(view: Tensor, tables: Tensor, low: Tensor, high: Tensor) -> None:
    """Bends the intensities of every channel along its curve, in place.

    The curve is a function of the range [low, high] onto itself. Values beyond the range keep their
    distance from it, so none are clipped: where the curve falls, they change sides.

    Args:
        view: shape [C, (D,) H, W], contiguous.
        tables: by `tables_of`, on the view's device.
        low, high: of every channel, [C].
    """
    flat = view.view(len(view), -1)
    places = part_of_range(flat, low, high)
    inside = places.clamp(0, 1)
    beyond = places.sub_(inside)
    num_pieces = tables.shape[1] - 1
    inside.mul_(num_pieces)
    pieces = inside.to(torch.int32).clamp_(max=num_pieces - 1)
    inside.sub_(pieces)
    tables = tables.to(view.dtype)
    rises = tables.diff(dim=1, append=tables[:, -1:])
    direction = tables[:, -1:] - tables[:, :1]
    for channel, row in enumerate(pieces):
        start = tables[channel].index_select(0, row)
        bent = start.addcmul_(rises[channel].index_select(0, row), inside[channel])
        bent.addcmul_(beyond[channel], direction[channel])
        torch.addcmul(low[channel], bent, extent_of(low, high)[channel], out=flat[channel])
