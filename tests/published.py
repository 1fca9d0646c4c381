"""Writes tiny images in the published layouts of benchmark data sets."""

import csv
from pathlib import Path

import numpy as np
from raw_images import write_image

SIZE = (6, 8, 10)
# As in the published headers.
BRATS_HEADER = {"origin": (0.0, -239.0, 0.0)}


def tumour(values=(1, 2, 4)) -> np.ndarray:
    """A label with a voxel block per value."""
    label = np.zeros(SIZE, dtype=np.uint8)
    for index, value in enumerate(values):
        label[1 + index, 2:4, 2:5] = value
    return label


def write_brats_case(
    folder: Path, suffixes: dict[str, str], label=None, ending: str = ".nii.gz"
) -> Path:
    """A case folder FOLDER/FOLDER<suffix>; the intensities tell the modalities apart."""
    for number, suffix in enumerate(suffixes["images"]):
        image = np.full(SIZE, 100 * (number + 1), dtype=np.int16)
        image[0] = 0
        write_image(folder / f"{folder.name}{suffix}{ending}", image, **BRATS_HEADER)
    if label is not None:
        path = folder / f"{folder.name}{suffixes['label']}{ending}"
        write_image(path, label, **BRATS_HEADER)
    return folder


OLD = {"images": ("_t1", "_t1ce", "_t2", "_flair"), "label": "_seg"}
NEW = {"images": ("-t1n", "-t1c", "-t2w", "-t2f"), "label": "-seg"}


def write_csv(path: Path, rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def read_csv(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
