"""What the channels of a data set's preprocessed images hold: the units of noise and restoration.

nnU-Net's normalisations leave other numbers on CT, MR and films; a standard deviation means the
same on all of them.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box, draw_box_within
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError
from nnunetv2_pcrl.views.ranges import robust_range
from nnunetv2_pcrl.views.seeding import integer, seeded_generator

# Boxes that are looked at: the mean of their variances is known to a few per cent.
_NUM_BOXES = 64
# Beside the streams of samples and of levels.
_STREAM = 4


@dataclass(frozen=True)
class Channels:
    """Channels of the images of a data set, after preprocessing.

    Attributes:
        stds: standard deviation inside a box of the planned patch, root of the mean over boxes; 1
            for a channel that never varies.
        lows, highs: of the robust ranges of all boxes, the lowest and the highest end.
        sources: for every channel the first one that holds the same values everywhere, mostly
            itself; grey that is stored as RGB has (0, 0, 0).
    """

    stds: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    sources: tuple[int, ...]

    @classmethod
    def unmeasured(cls, num_channels: int) -> "Channels":
        """Units of 1, and no copies."""
        ones = (1.0,) * num_channels
        return cls(ones, (0.0,) * num_channels, ones, tuple(range(num_channels)))

    def __str__(self) -> str:
        stds = ", ".join(f"{std:.3g}" for std in self.stds)
        copies = [
            f"{number} of {source}"
            for number, source in enumerate(self.sources)
            if number != source
        ]
        said = f"standard deviation {stds}"
        return f"{said}; copies: channel {', '.join(copies)}" if copies else said


def measure_channels(
    folder: str | os.PathLike[str],
    identifiers: Sequence[str],
    box_size: Sequence[int],
    num_channels: int,
) -> Channels:
    """Looks at boxes of some images; equal data give equal numbers, whoever asks.

    Args:
        folder: nnU-Net's preprocessed data of one configuration.
        identifiers: of usable cases.
        box_size: of the planned patch; boxes are cut to smaller images. Of two numbers, it is
            taken from slices.
        num_channels: of the images.
    """
    boxes = list(_boxes(folder, sorted(identifiers), box_size, num_channels))
    if not boxes:
        return Channels.unmeasured(num_channels)
    variances = torch.stack([b.flatten(1).double().var(dim=1, unbiased=False) for b in boxes])
    lows, highs = zip(*map(robust_range, boxes), strict=True)
    stds = variances.mean(dim=0).sqrt()
    return Channels(
        tuple(torch.where(stds > 0, stds, 1.0).tolist()),
        tuple(torch.stack(lows).amin(dim=0).tolist()),
        tuple(torch.stack(highs).amax(dim=0).tolist()),
        _sources(boxes, num_channels),
    )


def _boxes(
    folder: str | os.PathLike[str],
    identifiers: list[str],
    box_size: Sequence[int],
    num_channels: int,
) -> Iterator[Tensor]:
    """Boxes [C, ...] of cases that are spread evenly over all of them."""
    for number in range(_NUM_BOXES):
        identifier = identifiers[number * len(identifiers) // _NUM_BOXES]
        generator = seeded_generator(0, _STREAM, number)
        try:
            case = PreprocessedCase(folder, identifier)
            if case.num_channels != num_channels:
                continue
            image = case.image
            if len(box_size) == 2:
                image = case.slice(integer(0, case.image_size[0] - 1, generator))
            size = tuple(map(min, box_size, image.size))
            whole = Box((0,) * len(image.size), image.size)
            yield image.read(draw_box_within(size, whole, generator))
        except UnusableCaseError:
            # The stream of views names it in the log.
            continue


def _sources(boxes: Sequence[Tensor], num_channels: int) -> tuple[int, ...]:
    """The first channel with the same values; channels that never vary are copies of nothing."""
    sources = list(range(num_channels))
    varies = [any((b[c] != b[c].flatten()[0]).any() for b in boxes) for c in range(num_channels)]
    for channel in range(num_channels):
        for other in range(channel):
            if varies[channel] and all(torch.equal(b[channel], b[other]) for b in boxes):
                sources[channel] = other
                break
    return tuple(sources)
