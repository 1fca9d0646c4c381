"""From the files of a few cases to one picture of them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.paths import nnUNet_raw

from nnunetv2_pcrl.tasks.segmentation.case_figure import (
    CaseBlock,
    CaseFigure,
    draw_case_figure,
)
from nnunetv2_pcrl.tasks.segmentation.case_reading import image_files, read_case
from nnunetv2_pcrl.tasks.segmentation.case_slices import clearest_channel, slice_rows
from nnunetv2_pcrl.tasks.segmentation.label_names import LabelKey


@dataclass(frozen=True)
class SegmentedData:
    """Where the cases of a data set and their references are, and what their labels mean.

    Attributes:
        preprocessed: folder of the data set in nnUNet_preprocessed, with its gt_segmentations.
        dataset_json: of the data set.
        reader: of images and segmentations.
        labels: names of the labels or regions.
        ignore_label: of the references, if there is one.
    """

    preprocessed: Path
    dataset_json: Mapping[str, Any]
    reader: BaseReaderWriter
    labels: Mapping[LabelKey, str]
    ignore_label: int | None = None


@dataclass(frozen=True)
class ShownCase:
    """A case and what is said of it.

    Attributes:
        rank: why it is shown, e.g. worst.
        case: identifier.
        scores: lines of text per prediction.
    """

    rank: str
    case: str
    scores: tuple[tuple[str, ...], ...]


def draw_cases(
    data: SegmentedData,
    predictions: Mapping[str, Path],
    cases: Sequence[ShownCase],
    title: str,
    subtitle: str,
    path: str | os.PathLike,
) -> None:
    """Draws cases with reference and predictions; the images come from nnUNet_raw.

    Args:
        data: that the cases are of.
        predictions: folders of label maps by the name of their column.
        cases: at least one.
        title: of the picture.
        subtitle: below it.
        path: file to write; its ending says the format.

    Raises:
        ValueError: if an image or a segmentation is missing or does not fit.
    """
    if not nnUNet_raw.is_set():
        raise ValueError("nnUNet_raw is not set: the images of the pictures are read from there")
    raw = Path(nnUNet_raw.require()) / data.preprocessed.name
    blocks, channel, name = [], None, ""
    for shown in cases:
        file = f"{shown.case}{data.dataset_json['file_ending']}"
        folders = [data.preprocessed / "gt_segmentations", *predictions.values()]
        # One at a time: images are large.
        case = read_case(
            data.reader,
            data.dataset_json,
            image_files(raw, data.dataset_json, shown.case),
            [folder / file for folder in folders],
            data.ignore_label,
        )
        if channel is None:
            # The same one for all cases, so that they can be compared.
            channel = clearest_channel(case)
            name = "image" if case.is_colour else case.channels[channel]
        blocks.append(CaseBlock(shown.rank, shown.case, shown.scores, slice_rows(case, channel)))
    columns = (name, "reference", *predictions)
    draw_case_figure(
        CaseFigure(title, subtitle, columns, data.labels, blocks, data.ignore_label), path
    )
