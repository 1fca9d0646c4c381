"""What a finished run achieved on every validation case: Dice and surface distances."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import region_or_label_to_mask
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.summaries import LabelKey, read_dice
from nnunetv2_pcrl.evaluation.surface_distances import surface_distances
from nnunetv2_pcrl.experiments.runs import SUMMARY

DICE, HAUSDORFF, AVERAGE_DISTANCE = "dice", "hd95_mm", "assd_mm"
MEAN = "mean"

# Metric to label name (or MEAN) to case to value.
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Dataset:
    """What is needed of a preprocessed data set to measure segmentations of it.

    Attributes:
        folder: in nnUNet_preprocessed.
        labels: names of the labels or regions of the foreground.
        ignore_label: voxels that count for nothing, if there is such a label.
        file_ending: of segmentations.
        reader: of segmentations.
        validation_cases: of every fold in splits_final.json.
    """

    folder: Path
    labels: Mapping[LabelKey, str]
    ignore_label: int | None
    file_ending: str
    reader: BaseReaderWriter
    validation_cases: tuple[tuple[str, ...], ...]


def read_dataset(folder: Path, plans: str) -> Dataset:
    """Reads the plans, dataset.json and splits_final.json of a preprocessed data set.

    Raises:
        ValueError: if one of them is missing.
    """
    contents = []
    for name in (f"{plans}.json", "dataset.json", "splits_final.json"):
        if not (folder / name).is_file():
            raise ValueError(
                f"There is no {folder / name}: is the data set preprocessed, and -p right?"
            )
        contents.append(json.loads((folder / name).read_text(encoding="utf-8")))
    planned, dataset_json, splits = contents
    manager = PlansManager(planned)
    labels = manager.get_label_manager(dataset_json)
    keys = labels.foreground_regions if labels.has_regions else labels.foreground_labels
    return Dataset(
        folder=folder,
        labels=label_names(keys, dataset_json["labels"]),
        ignore_label=labels.ignore_label,
        file_ending=dataset_json["file_ending"],
        reader=manager.image_reader_writer_class(),
        validation_cases=tuple(tuple(split["val"]) for split in splits),
    )


def label_names(keys: list[LabelKey], named: Mapping[str, int | list[int]]) -> dict[LabelKey, str]:
    """Names of labels or regions by nnU-Net's key; one that is called mean gets its number too."""
    by_value = {
        tuple(value) if isinstance(value, list) else int(value): name
        for name, value in named.items()
    }
    names = {}
    for key in keys:
        key = key if isinstance(key, tuple) else int(key)
        names[key] = f"{by_value[key]} {key}" if by_value[key] == MEAN else by_value[key]
    return names


def read_scores(
    dataset: Dataset, folder: Path, fold: int, measured: Measured, with_surfaces: bool
) -> Scores:
    """Scores of one run.

    Distances are NaN where label and prediction are empty, and infinite where one of them is.

    Args:
        dataset: that it was trained on.
        folder: result folder of the run.
        fold: its number in splits_final.json.
        measured: remembers distances.
        with_surfaces: whether to compute surface distances.

    Raises:
        ValueError: as `read_dice`, if a prediction is missing or has another shape than its
            reference, and if the splits have no such fold.
    """
    if fold >= len(dataset.validation_cases):
        raise ValueError(
            f"{dataset.folder / 'splits_final.json'} has {len(dataset.validation_cases)} folds, "
            f"none with the number {fold} of the table of label folds: make the label folds again."
        )
    cases = dataset.validation_cases[fold]
    scores = {DICE: read_dice(folder / SUMMARY, dataset.labels, cases, dataset.file_ending)}
    if with_surfaces:
        per_case = {case: _case_distances(dataset, folder, case, measured) for case in cases}
        for number, metric in enumerate((HAUSDORFF, AVERAGE_DISTANCE)):
            scores[metric] = {
                label: {case: per_case[case][label][number] for case in cases}
                for label in dataset.labels.values()
            }
    return {metric: {**labels, MEAN: _mean_of_labels(labels)} for metric, labels in scores.items()}


def _mean_of_labels(labels: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Per case, over the labels that are in it; infinite if one of these has no distance."""
    means = {}
    for case in next(iter(labels.values())):
        values = [scores[case] for scores in labels.values() if not math.isnan(scores[case])]
        means[case] = float(np.mean(values)) if values else math.nan
    return means


def _case_distances(
    dataset: Dataset, folder: Path, case: str, measured: Measured
) -> dict[str, list[float]]:
    """Both distances per label name."""
    name = f"{case}{dataset.file_ending}"
    prediction = folder / SUMMARY.parent / name
    reference = dataset.folder / "gt_segmentations" / name
    for file in (prediction, reference):
        if not file.is_file():
            raise ValueError(
                f"There is no {file} to measure surface distances from. Predictions are made again "
                f"by nnUNetv2_train with --val, references by preprocessing; or do without: "
                f"--no_surface."
            )
    # Labels are part of the key: they may have been changed.
    key = "/".join([*folder.parts[-3:], case, str(dict(dataset.labels))])
    return measured.get(
        key, (prediction, reference), lambda: _measure(dataset, prediction, reference)
    )


def _read(dataset: Dataset, file: Path) -> tuple[np.ndarray, dict]:
    try:
        return dataset.reader.read_seg(str(file))
    # Readers have errors of their own.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{file} cannot be read ({reason}). Predictions are made again by nnUNetv2_train with "
            f"--val, references by preprocessing; or do without: --no_surface."
        ) from error


def _measure(dataset: Dataset, prediction: Path, reference: Path) -> dict[str, list[float]]:
    (true, properties), (found, _) = (_read(dataset, file) for file in (reference, prediction))
    if dataset.ignore_label is not None:
        found = np.where(true == dataset.ignore_label, 0, found)
    # [1, D, H, W]; one slice for 2D images, whose depth nnU-Net makes up.
    is_flat = true.shape[1] == 1
    spacing = tuple(properties["spacing"])[int(is_flat) :]
    distances = {}
    for key, label in dataset.labels.items():
        masks = [region_or_label_to_mask(seg[0], key) for seg in (true, found)]
        masks = [mask[0] if is_flat else mask for mask in masks]
        try:
            result = surface_distances(*masks, spacing)
        except ValueError as error:
            raise ValueError(f"{prediction} and {reference}: {error}") from error
        distances[label] = [result.hausdorff_mm, result.average_mm]
    return distances
