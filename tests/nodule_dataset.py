"""Makes small data sets of chest CT with planted nodules, preprocessed by nnU-Net, with tables."""

import json
from pathlib import Path

import numpy as np
from prepared_dataset import PreparedDataset, configuration
from preprocessed_scans import preprocess
from published import write_csv
from scipy.ndimage import gaussian_filter

from nnunetv2_pcrl.datasets.positions import COORDINATES

# Voxels (z, y, x) and mm (x, y, z): slices are four times as thick as wide.
SIZE, SPACING = (14, 40, 44), (0.8, 0.8, 3.2)
LPS = (1, 0, 0, 0, 1, 0, 0, 0, 1)
# The plans' spacing over that of the scan, per transposed axis.
ZOOM, TRANSPOSE = (1.1, 0.9, 0.9), [0, 2, 1]
DIAMETER_MM = 8.0
SETTINGS = {
    "from_scratch": True,
    "cube_mm": 16.0,
    "batch_size": 4,
    "negatives_per_positive": 1,
    "num_epochs": 2,
    "num_iterations_per_epoch": 3,
}
NODULES = [(4, 12, 14), (9, 28, 30)]
OTHERS = [(4, 28, 14), (9, 12, 30), (7, 20, 22)]


def scan(number: int) -> np.ndarray:
    """Air with smooth noise, two bright balls, and a vessel through every other candidate."""
    random = np.random.default_rng(number)
    array = -800 + 60 * gaussian_filter(random.normal(size=SIZE), 1) * 3
    grid = np.indices(SIZE).reshape(3, -1).T * np.array(SPACING[::-1])
    for place in NODULES:
        near = np.linalg.norm(grid - np.array(place) * SPACING[::-1], axis=1) < DIAMETER_MM / 2
        array[near.reshape(SIZE)] = 60
    for _, y, x in OTHERS:
        array[:, y - 1 : y + 1, x - 1 : x + 1] = 40
    return array.astype(np.float32)


def nodule_dataset(preprocessed: Path, num_scans: int = 10, **settings) -> PreparedDataset:
    """Scans with two nodules and three others each; the last one has no candidate.

    The raw scans lie in a folder "scans" beside nnUNet_preprocessed.

    Args:
        preprocessed: nnUNet_preprocessed.
        num_scans: their number.
        settings: of the nodule training, beside `SETTINGS`.
    """
    section = {"nodules": {**SETTINGS, **settings}}
    planned = configuration(3, nnunetv2_pcrl=section)
    dataset = PreparedDataset(preprocessed, {"3d_fullres": planned})
    folder, scans = dataset.data_folder("3d_fullres"), preprocessed.parent / "scans"
    scans.mkdir()
    candidates = [["identifier", *COORDINATES, "class"]]
    nodules = [["identifier", *COORDINATES, "diameter_mm"]]
    for number in range(num_scans):
        name = f"1.2.{number}"
        image, plans = preprocess(
            folder, name, scan(number), SPACING, LPS, ZOOM, TRANSPOSE, "SimpleITKIO"
        )
        (folder / f"{name}.nii.gz").rename(scans / f"{name}_0000.nii.gz")
        for places, label in ((NODULES, 1), (OTHERS, 0)):
            for index in places:
                point = image.TransformIndexToPhysicalPoint(index[::-1])
                if number < num_scans - 1:
                    candidates.append([name, *point, label])
                if label:
                    nodules.append([name, *point, DIAMETER_MM])
    spacing = plans["configurations"]["3d_fullres"]["spacing"]
    dataset.plans["configurations"]["3d_fullres"]["spacing"] = spacing
    for key in ("transpose_forward", "transpose_backward", "image_reader_writer"):
        dataset.plans[key] = plans[key]
    dataset.dataset_json["channel_names"] = {"0": "CT"}
    for name, content in (("nnUNetPlans", dataset.plans), ("dataset", dataset.dataset_json)):
        (dataset.folder / f"{name}.json").write_text(json.dumps(content))
    write_csv(dataset.folder / "candidates.csv", candidates)
    write_csv(dataset.folder / "annotations.csv", nodules)
    return dataset
