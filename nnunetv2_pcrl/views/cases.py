"""Reads boxes out of preprocessed cases. Images only: label files are never opened."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box

# Memory-mapped blosc2 files do not work on Windows; nnU-Net makes the same exception.
_MMAP = {} if os.name == "nt" else {"mmap_mode": "r"}


class UnusableCaseError(Exception):
    """A case from which no views can be made; the message says why."""


@dataclass(frozen=True)
class ReadableImage:
    """A whole image, or a slice of it, of which boxes can be read.

    Attributes:
        case: that it belongs to.
        position: of the slice; None for the whole image.
    """

    case: "PreprocessedCase"
    position: int | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels per spatial axis."""
        return self.case.image_size if self.position is None else self.case.image_size[1:]

    def read(self, box: Box) -> Tensor:
        """The voxels of a box, shape [C, *box.size], see `PreprocessedCase.read`."""
        if self.position is None:
            return self.case.read(box)
        return self.case.read(Box((self.position, *box.start), (1, *box.size)))[:, 0]


class PreprocessedCase:
    """An opened preprocessed image, of which only the asked voxels are read.

    Attributes:
        identifier: the case's name.
        num_channels: channels of the image.
        image_size: voxels per spatial axis, (D, H, W); preprocessed 2D images have D = 1.
    """

    def __init__(self, folder: str | os.PathLike[str], identifier: str):
        """Opens the case without reading the image.

        Args:
            folder: nnU-Net's preprocessed data of one configuration.
            identifier: the case's name.

        Raises:
            UnusableCaseError: if the file is missing, damaged or has no voxels.
        """
        self.identifier = identifier
        self._array = _open_array(Path(folder), identifier)
        shape = tuple(int(size) for size in getattr(self._array, "shape", ()))
        if len(shape) != 4 or 0 in shape:
            raise UnusableCaseError(f"its array has shape {shape} and not [C, D, H, W]")
        self.num_channels, self.image_size = shape[0], shape[1:]

    @property
    def image(self) -> ReadableImage:
        """The whole image."""
        return ReadableImage(self)

    def slice(self, position: int) -> ReadableImage:
        """One slice along the first axis, as a 2D image."""
        return ReadableImage(self, position)

    def read(self, box: Box) -> Tensor:
        """The voxels of a box, shape [C, *box.size], float32.

        Raises:
            UnusableCaseError: if the file is damaged or a value is not finite.
        """
        try:
            values = np.asarray(self._array[(slice(None), *box.slices)], dtype=np.float32)
        except (RuntimeError, OSError, ValueError) as error:
            raise UnusableCaseError(f"its file cannot be read ({error})") from error
        # What a mapped or unpacked file gives is a part of its own, maybe read-only memory.
        region = torch.from_numpy(values if values.flags.owndata else values.copy())
        # A sum is much faster than looking at each value, and finite only if all values are.
        if not torch.isfinite(region.sum()) and not torch.isfinite(region).all():
            raise UnusableCaseError("it contains values that are not finite (NaN or infinite)")
        return region


def _open_array(folder: Path, identifier: str) -> Any:
    """The image array of a case in either of nnU-Net's formats."""
    blosc_file, npy_file, npz_file = (
        folder / f"{identifier}{e}" for e in (".b2nd", ".npy", ".npz")
    )
    try:
        if blosc_file.is_file():
            return blosc2.open(urlpath=str(blosc_file), mode="r", dparams={"nthreads": 1}, **_MMAP)
        if npy_file.is_file():
            return np.load(npy_file, mmap_mode="r")
        if npz_file.is_file():
            return np.load(npz_file)["data"]
    except Exception as error:
        # The libraries raise almost anything on a damaged file.
        raise UnusableCaseError(f"its file cannot be opened ({error})") from error
    raise UnusableCaseError(f"there is no {blosc_file.name}, {npy_file.name} or {npz_file.name}")


def has_content(region: Tensor, boxes: Sequence[Box], region_box: Box) -> bool:
    """True if in every box some channel has more than one value.

    Args:
        region: shape [C, (D,) H, W].
        boxes: boxes in voxels of the image; a part outside the region does not count.
        region_box: where the region lies.
    """
    return all(_varies(region, box, region_box) for box in boxes)


def _varies(region: Tensor, box: Box, region_box: Box) -> bool:
    """True if in the box some channel has more than one value; looks no further than needed."""
    start = [a - b for a, b in zip(box.start, region_box.start, strict=True)]
    inner = Box(tuple(max(0, s) for s in start), box.size)
    values = region[(slice(None), *inner.slices)]
    first = values[(slice(None), *[slice(0, 1)] * len(box.size))]
    return any((part != first).any() for part in torch.split(values, 1, dim=1))
