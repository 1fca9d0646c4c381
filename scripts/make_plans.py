"""Makes the ready plans of plans/ by nnU-Net's planners, from published statistics of the data.

    python scripts/make_plans.py plans

nnU-Net plans from the median shape and spacing of the images, and for CT from intensities of the
foreground. Where these are published, nobody needs the images to know the plan. The sources are
named below; plans/README.md says what follows from them.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.datasets import brats, lits
from nnunetv2_pcrl.datasets.raw import (
    ITK_READER,
    NATURAL_READER,
    REORIENTING_READER,
    UNLABELLED,
)
from nnunetv2_pcrl.preparation.unlabelled_plans import plan

PLANNERS = {"nnUNetPlans": "ExperimentPlanner", "nnUNetResEncUNetMPlans": "nnUNetPlannerResEncM"}


@dataclass(frozen=True)
class PublishedStatistics:
    """What is published of a data set.

    Attributes:
        folder: below plans/.
        dataset_name: as the README's commands name it.
        channels: names in order.
        labels: for the number of outputs.
        ending, reader: of the files.
        num_training: cases.
        shape: median after cropping to the non-zero region, voxels (z, y, x).
        spacing: median, mm (z, y, x).
        relative_size: median of the cropped over the whole volume.
        intensities: of channel 0, read for CT only.
    """

    folder: str
    dataset_name: str
    channels: tuple[str, ...]
    labels: dict[str, Any]
    ending: str
    reader: str
    num_training: int
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    relative_size: float = 1.0
    intensities: dict[str, float] | None = None


DATASETS = (
    # Shape after cropping: Isensee et al. 2018 (arXiv:1809.10486), brain tumour data of the
    # decathlon, 138 x 169 x 138 at 1 mm, of 155 x 240 x 240. Cases: BraTS 2018.
    PublishedStatistics(
        "luna16_to_brats",
        "Dataset043_BraTS",
        brats.CHANNELS,
        brats.LABELS,
        ".nii.gz",
        ITK_READER,
        285,
        (138, 169, 138),
        (1.0, 1.0, 1.0),
        relative_size=138 * 169 * 138 / (155 * 240 * 240),
    ),
    # Shape and spacing: Isensee et al. 2018, liver data of the decathlon, which are those of LiTS.
    # Intensities: of nnU-Net's plans for them, quoted by programs that use its liver model.
    PublishedStatistics(
        "luna16_to_lits",
        "Dataset017_LiTS",
        ("CT",),
        lits.LABELS,
        ".nii",
        REORIENTING_READER,
        131,
        (482, 512, 512),
        (1.0, 0.767578125, 0.767578125),
        intensities={
            "mean": 99.40078,
            "std": 39.392952,
            "percentile_00_5": -17.0,
            "percentile_99_5": 201.0,
        },
    ),
    # All images have 1024 x 1024 pixels, and their pixels no size: Wang et al. 2017.
    PublishedStatistics(
        "chest_xray_2d",
        "Dataset014_ChestXray14",
        ("X-ray",),
        UNLABELLED,
        ".png",
        NATURAL_READER,
        86524,
        (1, 1024, 1024),
        (999.0, 1.0, 1.0),
    ),
)


def make_plans(data: PublishedStatistics, plans_name: str) -> dict[str, Any]:
    """Plans as nnU-Net makes them from these statistics."""
    fingerprint = {
        "spacings": [list(data.spacing)],
        "shapes_after_crop": [list(data.shape)],
        "median_relative_size_after_cropping": data.relative_size,
        "foreground_intensity_properties_per_channel": {"0": data.intensities or {}},
    }
    dataset_json = {
        "channel_names": {str(i): name for i, name in enumerate(data.channels)},
        "labels": data.labels,
        "file_ending": data.ending,
    }
    plans = plan(
        PLANNERS[plans_name],
        data.dataset_name,
        dataset_json,
        fingerprint,
        data.reader,
        plans_name,
        num_training=data.num_training,
    )
    # The networks are to be pretrained at full resolution.
    plans["configurations"].pop("3d_lowres", None)
    return plans


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="plans/ of this project")
    folder = parser.parse_args().folder
    for data in DATASETS:
        for name in PLANNERS:
            path = folder / data.folder / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(make_plans(data, name), indent=4) + "\n")
            print(path)


if __name__ == "__main__":
    main()
