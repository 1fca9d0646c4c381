"""Writes small raw images and data sets, for tests of planning and conversion."""

import json
from pathlib import Path

import numpy as np
import SimpleITK


def write_image(
    path: Path, array: np.ndarray, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=None
) -> Path:
    """Writes an array (D, H, W); spacing and origin in the order x, y, z, mm."""
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))
    return path


def ct_array(seed: int = 0, size=(10, 12, 14)) -> np.ndarray:
    """Air, soft tissue and padding outside the field of view, in HU."""
    random = np.random.default_rng(seed)
    array = random.normal(40, 20, size).round().astype(np.int16)
    array[:, :, :3] = -1000
    array[:, :, 0] = -3024
    return array


def mr_array(seed: int = 0, size=(10, 12, 14)) -> np.ndarray:
    """Positive intensities within a margin of zeros two voxels wide."""
    array = np.zeros(size, dtype=np.float32)
    inner = tuple(slice(2, -2) for _ in size)
    array[inner] = np.random.default_rng(seed).uniform(100, 200, array[inner].shape)
    return array


def write_dataset(
    root: Path, name: str, cases: dict[str, list[np.ndarray]], channels=("MRI",), **more
) -> Path:
    """A raw data set without labels; images per case, one per channel."""
    folder = root / name
    for identifier, images in cases.items():
        for channel, array in enumerate(images):
            write_image(folder / "imagesTr" / f"{identifier}_{channel:04d}.nii.gz", array)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "channel_names": {str(i): channel for i, channel in enumerate(channels)},
        "file_ending": ".nii.gz",
        **more,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder
