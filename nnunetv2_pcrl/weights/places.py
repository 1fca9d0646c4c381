"""Where a tensor sits in a planned U-Net, whatever the architecture calls it.

PlainConvUNet, ResidualEncoderUNet and ResidualUNet name their convolutions differently, and levels
of a decoder are numbered from the lowest resolution. A place names the resolution (0 = full) and
counts the convolutions on the way, so that networks of other plans can be compared.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

_CONVOLUTION = re.compile(
    r"(?P<side>encoder|decoder)\.(?:(?P<stem>stem)|stages\.(?P<stage>\d+))\."
    r"(?:(?:(?P<group>\d+)\.)?convs\.(?P<number>\d+)|blocks\.(?P<block>\d+)\.conv(?P<part>\d))"
    r"\.(?P<unit>conv|norm)\.(?P<tensor>\w+)"
)
_PROJECTION = re.compile(
    r"(?P<side>encoder|decoder)\.stages\.(?P<stage>\d+)\.blocks\.(?P<block>\d+)\.skip\.\d+\."
    r"(?P<unit>conv|norm)\.(?P<tensor>\w+)"
)
_UPSAMPLING = re.compile(r"decoder\.transpconvs\.(?P<stage>\d+)\.(?P<tensor>\w+)")
_LEVEL = re.compile(r"decoder\.(?:stages|transpconvs)\.(\d+)\.")
# The same tensors once more, under the names of containers that hold them.
_ALIAS = re.compile(r"(^|\.)all_modules\.|^decoder\.encoder\.")


class Place(NamedTuple):
    """A tensor's place in a U-Net.

    Attributes:
        side: encoder, decoder, or upsampling for the transposed convolutions.
        resolution: 0 is full resolution, counted in stages.
        branch: main, or projection for the shortcut of a residual block.
        rank: how many convolutions (blocks, for projections) of the stage come before it.
        unit: conv or norm.
        tensor: weight, bias, running_mean, ...
    """

    side: str
    resolution: int
    branch: str
    rank: int
    unit: str
    tensor: str

    @property
    def is_first_convolution(self) -> bool:
        """Whether it reads the image."""
        return self.side == "encoder" and self[1:5] == (0, "main", 0, "conv")


def places_of(names: Iterable[str]) -> dict[str, Place]:
    """The place of every tensor that has one; aliases and segmentation layers have none.

    Args:
        names: all tensors of a network, as in its state dict.
    """
    names = [name for name in names if not is_alias(name)]
    highest = max((int(match[1]) for name in names if (match := _LEVEL.match(name))), default=0)
    found: dict[str, Place] = {}
    convolutions: dict[str, tuple[tuple[str, int], tuple[int, ...], str, str]] = {}
    for name in names:
        if match := _UPSAMPLING.fullmatch(name):
            depth = highest - int(match["stage"])
            found[name] = Place("upsampling", depth, "main", 0, "conv", match["tensor"])
        elif match := _PROJECTION.fullmatch(name):
            where = (match["side"], _resolution(match, highest), "projection", int(match["block"]))
            found[name] = Place(*where, match["unit"], match["tensor"])
        elif match := _CONVOLUTION.fullmatch(name):
            numbers = (int(match[key] or 0) for key in ("group", "number", "block", "part"))
            stage, order = (
                (match["side"], _resolution(match, highest)),
                (not match["stem"], *numbers),
            )
            convolutions[name] = (stage, order, match["unit"], match["tensor"])
    ranks = _ranks(convolutions.values())
    for name, (stage, order, unit, tensor) in convolutions.items():
        found[name] = Place(*stage, "main", ranks[stage].index(order), unit, tensor)
    return found


def is_alias(name: str) -> bool:
    """Whether a name of a state dict is a second one for a tensor."""
    return _ALIAS.search(name) is not None


def _resolution(match: re.Match[str], highest_level: int) -> int:
    stage = int(match["stage"] or 0)
    return stage if match["side"] == "encoder" else highest_level - stage


def _ranks(
    convolutions: Iterable[tuple[tuple[str, int], tuple[int, ...], str, str]],
) -> dict[tuple[str, int], list[tuple[int, ...]]]:
    """The convolutions of every stage in their order."""
    orders: dict[tuple[str, int], set[tuple[int, ...]]] = {}
    for stage, order, *_ in convolutions:
        orders.setdefault(stage, set()).add(order)
    return {stage: sorted(values) for stage, values in orders.items()}
