"""Label images of benchmarks: their values, and their position in relation to the image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK

from nnunetv2_pcrl.datasets.headers import Header, differences, header_of


def read_label(path: Path, image: Header, values: Mapping[int, int]) -> tuple[SimpleITK.Image, str]:
    """Reads a label, maps its values and brings it onto the grid of its image.

    Args:
        path: label image.
        image: header of the image that it belongs to.
        values: value in nnU-Net for every value that may occur.

    Returns:
        uint8 label with the geometry of the image, and a remark, empty if nothing was odd.

    Raises:
        ValueError: if there are other values, or if the label cannot lie on the image's grid.
    """
    label, remark = _aligned(SimpleITK.ReadImage(str(path)), image)
    found = SimpleITK.GetArrayFromImage(label)
    rounded = np.rint(found).astype(np.int64)
    if np.abs(found - rounded).max() > 1e-3:
        raise ValueError(f"label {path.name} has values that are not integers")
    unknown = sorted(set(np.unique(rounded).tolist()) - set(values))
    if unknown:
        raise ValueError(f"label {path.name} has the values {unknown}; known: {sorted(values)}")
    mapped = np.zeros(found.shape, dtype=np.uint8)
    for value, new in values.items():
        mapped[rounded == value] = new
    result = SimpleITK.GetImageFromArray(mapped)
    result.SetSpacing(image.spacing)
    result.SetOrigin(image.origin)
    result.SetDirection(image.direction)
    return result, remark


def _aligned(label: SimpleITK.Image, image: Header) -> tuple[SimpleITK.Image, str]:
    """The label in the orientation of the image.

    A label whose header puts it onto the image's grid with flipped or swapped axes is turned. One
    whose header says something else, but which has the image's size, is taken voxel by voxel.
    """
    found = header_of(label)
    odd = differences(image, found)
    if not odd:
        return label, ""
    if len(image.size) == 3 and len(found.size) == 3:
        turned = SimpleITK.DICOMOrient(label, _orientation(image))
        if not differences(image, header_of(turned)):
            return turned, f"label turned from {_orientation(found)} to {_orientation(image)}"
    if found.size == image.size:
        return label, f"label's header replaced by the image's ({'; '.join(odd)})"
    raise ValueError(f"image and label differ in {'; '.join(odd)}")


def _orientation(header: Header) -> str:
    name = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
    return name(header.direction)
