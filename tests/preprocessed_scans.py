"""Scans with a painted voxel, preprocessed by nnU-Net itself."""

from pathlib import Path

import numpy as np
import SimpleITK
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from prepared_dataset import configuration, plans
from raw_images import write_image

# Within a margin of zeros, which is cropped away.
SIZE = (24, 30, 36)
MARGIN = (3, 5, 4)
MARKER = 1000.0


def painted(index_zyx: tuple[int, int, int]) -> np.ndarray:
    """A scan with structureless tissue, a margin of zeros and one bright voxel."""
    array = np.zeros(SIZE, dtype=np.float32)
    inner = tuple(slice(m, -m) for m in MARGIN)
    array[inner] = np.random.default_rng(0).uniform(90, 110, array[inner].shape)
    array[index_zyx] = MARKER
    return array


def preprocess(
    folder: Path,
    name: str,
    array: np.ndarray,
    spacing: tuple[float, ...],
    direction: tuple[float, ...],
    zoom: tuple[float, ...],
    transpose: list[int],
    reader: str,
) -> tuple[SimpleITK.Image, dict]:
    """Writes CASE.b2nd and CASE.pkl into a folder; the image as it is stored, and the plans.

    The spacing of the plans is `zoom` times that of the scan, per transposed axis.
    """
    origin = (-123.4, 56.7, -210.9)
    path = write_image(folder / f"{name}.nii.gz", array, spacing, origin, direction)
    content = plans({"3d_fullres": configuration(3)})
    content["transpose_forward"] = transpose
    content["transpose_backward"] = [transpose.index(axis) for axis in range(3)]
    content["image_reader_writer"] = reader
    _, properties = PlansManager(content).image_reader_writer_class().read_images([str(path)])
    content["configurations"]["3d_fullres"]["spacing"] = [
        float(properties["spacing"][axis] * factor)
        for axis, factor in zip(transpose, zoom, strict=True)
    ]
    manager = PlansManager(content)
    DefaultPreprocessor(verbose=False).run_case_save(
        str(folder / name), [str(path)], None, manager, manager.get_configuration("3d_fullres"), {}
    )
    return SimpleITK.ReadImage(str(path)), content
