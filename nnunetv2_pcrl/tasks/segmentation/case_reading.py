"""Images and segmentations of single cases, from the files that nnU-Net has of them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter

from nnunetv2_pcrl.monitoring.planes import orientation_of
from nnunetv2_pcrl.tasks.segmentation.case_slices import SegmentedCase


def image_files(raw: Path, dataset_json: Mapping[str, Any], case: str) -> list[Path]:
    """The files of an image, one per channel file.

    Args:
        raw: folder of the data set in nnUNet_raw.
        dataset_json: content of its dataset.json.
        case: identifier.

    Raises:
        ValueError: if there are none.
    """
    count = len(_channels(dataset_json))
    if "dataset" in dataset_json:
        listed = dataset_json["dataset"].get(case, {}).get("images", [])
        files = [Path(os.path.abspath(raw / os.path.expandvars(name))) for name in listed]
    else:
        ending = dataset_json["file_ending"]
        files = [raw / "imagesTr" / f"{case}_{number:04d}{ending}" for number in range(count)]
    found = [path for path in files if path.is_file()]
    # One file may hold all channels, as those of colours do.
    if not found or len(found) not in (1, count):
        raise ValueError(
            f"There is no image of {case} in {raw} ({len(found)} of {count} channels): pictures of "
            f"cases are made from the raw data set, so nnUNet_raw must hold it."
        )
    return found


def read_case(
    reader: BaseReaderWriter,
    dataset_json: Mapping[str, Any],
    images: Sequence[Path],
    segmentations: Sequence[Path],
    ignore_label: int | None = None,
) -> SegmentedCase:
    """Reads a case for a picture.

    Args:
        reader: of the plans.
        dataset_json: names the channels.
        images: as `image_files` finds them.
        segmentations: files of label maps, the reference first.
        ignore_label: of the reference.

    Raises:
        ValueError: if a segmentation has another shape than the image.
    """
    image, properties = reader.read_images([str(path) for path in images])
    labels = []
    for path in segmentations:
        found = reader.read_seg(str(path))[0][0]
        if found.shape != image.shape[1:]:
            raise ValueError(
                f"{path} has shape {found.shape}, its image {image.shape[1:]}: are they of the "
                f"same case and of the same version of the data set?"
            )
        labels.append(found.astype(np.int32))
    return SegmentedCase(
        image,
        tuple(_channels(dataset_json).values()),
        tuple(labels),
        tuple(properties["spacing"]),
        orientation_of(properties),
        ignore_label,
    )


def _channels(dataset_json: Mapping[str, Any]) -> dict[str, str]:
    # As older data sets of nnU-Net call them.
    return dataset_json.get("channel_names") or dataset_json["modality"]
