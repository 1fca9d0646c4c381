"""Headers of image files: size, spacing and position, read without the voxels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK

from nnunetv2_pcrl.datasets.compressed import is_gzip
from nnunetv2_pcrl.datasets.image_files import under_a_lower_case_ending
from nnunetv2_pcrl.datasets.mhd import check_voxel_file
from nnunetv2_pcrl.datasets.nifti import check_is_complete

# Headers hold positions in single precision; two files of one case differ by rounding.
_TOLERANCE = 1e-3
_COMPLEX = (SimpleITK.sitkComplexFloat32, SimpleITK.sitkComplexFloat64)


@dataclass(frozen=True)
class Header:
    """Geometry of an image.

    Attributes:
        size: voxels per axis (x, y[, z]).
        spacing: mm per axis.
        origin: position of the first voxel, mm.
        direction: direction cosines, row by row.
        num_components: values per voxel, e.g. 3 of a colour image.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    num_components: int

    @property
    def num_axes(self) -> int:
        """Axes longer than one voxel; trailing ones of one voxel do not count."""
        size = list(self.size)
        while len(size) > 2 and size[-1] == 1:
            size.pop()
        return len(size)


def read_header(path: Path) -> Header:
    """Reads the header of an image in any format of SimpleITK.

    Raises:
        ValueError: if the file is no image, is truncated, or has an impossible geometry.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    check_is_complete(path)
    if path.suffix.lower() in (".mhd", ".mha"):
        check_voxel_file(path)
    reader = SimpleITK.ImageFileReader()
    with under_a_lower_case_ending(path) as readable:
        reader.SetFileName(str(readable))
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            reason = _compression_reason(path) or f"the header cannot be read ({reason_of(error)})"
            raise ValueError(reason) from error
    if reader.GetPixelIDValue() in _COMPLEX:
        raise ValueError("its values are complex numbers; save their magnitude")
    header = _header(reader, reader.GetNumberOfComponents())
    is_sound = all(np.isfinite(header.spacing)) and min(header.spacing) > 0
    if 0 in header.size or not is_sound or not np.isfinite(header.direction).all():
        raise ValueError(f"its size is {header.size} and its spacing {header.spacing} mm")
    return header


def header_of(image: SimpleITK.Image) -> Header:
    """Header of an image in memory."""
    return _header(image, image.GetNumberOfComponentsPerPixel())


def _header(image: SimpleITK.Image | SimpleITK.ImageFileReader, num_components: int) -> Header:
    return Header(
        tuple(image.GetSize()),
        tuple(image.GetSpacing()),
        tuple(image.GetOrigin()),
        tuple(image.GetDirection()),
        num_components,
    )


def reason_of(error: Exception) -> str:
    """What a reader says of a file, without where in its own code it says it."""
    text = " ".join(str(error).split())
    if "Unable to determine ImageIO reader" in text:
        return f"no reader knows the format of {text.rsplit(' ', 1)[-1]}"
    _, _, said = text.rpartition("ERROR: ")
    return re.sub(r"^\w+\(0x[0-9a-f]+\): ", "", said) or type(error).__name__


def _compression_reason(path: Path) -> str:
    if path.suffix.lower() == ".nii" and is_gzip(path):
        return "it is compressed although its name ends with .nii: rename it to .nii.gz"
    return ""


def differences(header: Header, other: Header) -> list[str]:
    """What differs between two headers, as text; origin and direction come last."""
    found = []
    for name in ("size", "spacing", "origin", "direction"):
        a, b = getattr(header, name), getattr(other, name)
        if not _agree(a, b, max(header.spacing) if name == "origin" else 1.0):
            found.append(f"{name} {_rounded(a)} and {_rounded(b)}")
    return found


def _agree(a: Sequence[float], b: Sequence[float], scale: float) -> bool:
    return len(a) == len(b) and np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE * scale)


def _rounded(values: Sequence[float]) -> tuple:
    return tuple(round(v, 4) if isinstance(v, float) else v for v in values)
