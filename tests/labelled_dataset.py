"""Makes a preprocessed folder as far as label folds need it: labels, and files named as cases."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from raw_images import write_image

LABELS = {"background": 0, "organ": 1, "tumour": 2}


def write_labelled(
    root: Path, name: str, values: Mapping[str, Sequence[int]], labels: Mapping = LABELS
) -> Path:
    """A data set whose label images hold the given values, without images.

    Args:
        root: nnUNet_preprocessed.
        name: of the data set.
        values: by case.
        labels: as in dataset.json.
    """
    folder = root / name
    (folder / "nnUNetPlans_2d").mkdir(parents=True)
    for case, found in values.items():
        array = np.zeros((2, 3, 4), dtype=np.uint8)
        array.flat[: len(found)] = found
        write_image(folder / "gt_segmentations" / f"{case}.nii.gz", array)
        (folder / "nnUNetPlans_2d" / f"{case}.pkl").touch()
    content = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder
