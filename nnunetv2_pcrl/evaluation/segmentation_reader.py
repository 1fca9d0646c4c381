"""Segmentations: Dice from nnU-Net's summaries, and surface distances of its predictions."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import region_or_label_to_mask
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_pcrl.evaluation.choice import ChosenCases, ChosenRun
from nnunetv2_pcrl.evaluation.comparison import Comparison
from nnunetv2_pcrl.evaluation.dice_summary import Overlap, read_overlaps
from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric, ScoresOfRun
from nnunetv2_pcrl.evaluation.reader import Curve, SummaryReader
from nnunetv2_pcrl.evaluation.surface_distances import surface_distances
from nnunetv2_pcrl.evaluation.trainers import short_names
from nnunetv2_pcrl.experiments.runs import SUMMARY
from nnunetv2_pcrl.tasks.segmentation.case_figure import score_lines
from nnunetv2_pcrl.tasks.segmentation.case_pictures import (
    SegmentedData,
    ShownCase,
    draw_cases,
)
from nnunetv2_pcrl.tasks.segmentation.label_names import LabelKey, label_names

DICE = Metric("Dice", True)
HAUSDORFF = Metric(
    "HD95",
    False,
    "mm",
    "95 % Hausdorff distance: of the distances from every voxel of one surface to the nearest of "
    "the other the 95th percentile, in the direction in which it is larger (not the percentile of "
    "both directions together), in voxels where files hold no spacing, as PNG and TIFF",
)
AVERAGE_DISTANCE = Metric(
    "ASSD",
    False,
    "mm",
    "average symmetric surface distance: the mean of these distances over all surface voxels of "
    "both",
)

FALSE_ALARMS = Metric(
    "false alarms",
    False,
    definition="of the cases without a label in their reference the part in which some of it was "
    "found; such cases have no Dice and no distance, whatever was found",
)


@dataclass(frozen=True)
class SegmentationReader(SummaryReader):
    """What is needed of a preprocessed data set to measure segmentations of it.

    Attributes:
        folder: in nnUNet_preprocessed.
        dataset_json: of the data set.
        labels: names of the labels or regions of the foreground.
        ignore_label: voxels that count for nothing, if there is such a label.
        reader: of segmentations.
        validation_cases: of every fold in splits_final.json.
        with_surfaces: whether surface distances are computed.
    """

    # nnU-Net's Dice of all voxels of an epoch's validation patches. Its moving average lags ten
    # epochs behind, which is more than a short training has.
    curve: ClassVar[Curve] = Curve("mean_fg_dice", "pseudo Dice", "Dice of validation patches")

    folder: Path
    dataset_json: Mapping[str, Any]
    labels: Mapping[LabelKey, str]
    ignore_label: int | None
    reader: BaseReaderWriter
    validation_cases: tuple[tuple[str, ...], ...]
    with_surfaces: bool

    @property
    def file_ending(self) -> str:
        """Of segmentations."""
        return self.dataset_json["file_ending"]

    @classmethod
    def reads(cls, summary: Mapping[str, Any]) -> bool:
        """By the entries of nnU-Net's own evaluation."""
        return "metric_per_case" in summary

    @classmethod
    def of_dataset(
        cls, preprocessed: Path, plans: str, with_surfaces: bool
    ) -> "SegmentationReader":
        """Reads the plans, dataset.json and splits_final.json of a preprocessed data set.

        Raises:
            ValueError: if one of them is missing.
        """
        contents = []
        for name in (f"{plans}.json", "dataset.json", "splits_final.json"):
            path = preprocessed / name
            if not path.is_file():
                raise ValueError(f"There is no {path}: is the data set preprocessed, and -p right?")
            contents.append(json.loads(path.read_text(encoding="utf-8")))
        planned, dataset_json, splits = contents
        manager = PlansManager(planned)
        labels = manager.get_label_manager(dataset_json)
        keys = labels.foreground_regions if labels.has_regions else labels.foreground_labels
        return cls(
            folder=preprocessed,
            dataset_json=dataset_json,
            labels=label_names(keys, dataset_json["labels"], taken=MEAN),
            ignore_label=labels.ignore_label,
            reader=manager.image_reader_writer_class(),
            validation_cases=tuple(tuple(split["val"]) for split in splits),
            with_surfaces=with_surfaces,
        )

    def scores(self, folder: Path, fold: int, measured: Measured) -> ScoresOfRun:
        """Dice and, if wanted, surface distances of one run, and false alarms.

        Dice and distances are NaN where the reference is empty, distances are infinite where the
        prediction alone is; false alarms are NaN where the reference is not empty.

        Raises:
            ValueError: as `read_overlaps`, if a prediction is missing or has another shape than its
                reference, and if the splits have no such fold.
        """
        if fold >= len(self.validation_cases):
            raise ValueError(
                f"{self.folder / 'splits_final.json'} has {len(self.validation_cases)} folds, none "
                f"with the number {fold} of the table of label folds: make the label folds again."
            )
        cases = self.validation_cases[fold]
        overlaps = read_overlaps(folder / SUMMARY, self.labels, cases, self.file_ending)
        scores = {DICE: _of_each(overlaps, lambda overlap: overlap.dice)}
        if self.with_surfaces:
            per_case = {case: self._case_distances(folder, case, measured) for case in cases}
            for number, metric in enumerate((HAUSDORFF, AVERAGE_DISTANCE)):
                scores[metric] = {
                    label: {
                        case: per_case[case][label][number] if of_case.is_there else math.nan
                        for case, of_case in of_label.items()
                    }
                    for label, of_label in overlaps.items()
                }
        scores[FALSE_ALARMS] = _of_each(
            overlaps, lambda of: math.nan if of.is_there else float(of.is_found)
        )
        return {
            metric: {**labels, MEAN: _mean_of_labels(labels)} for metric, labels in scores.items()
        }

    def draw_cases(
        self, comparison: Comparison, chosen: ChosenCases, dataset_results: Path, path: Path
    ) -> bool:
        """Image, reference and the predictions of all runs, outlined.

        Raises:
            ValueError: if an image or a prediction is missing.
        """
        names = short_names(comparison.trainers)
        folders = {
            names[of.trainer]: of.run.folder(dataset_results) / SUMMARY.parent for of in chosen.runs
        }
        shown = [
            ShownCase(rank, case, tuple(_score_lines(of, case) for of in chosen.runs))
            for case, rank in chosen.cases.items()
        ]
        part = chosen.label_fold
        draw_cases(
            SegmentedData(
                self.folder, self.dataset_json, self.reader, self.labels, self.ignore_label
            ),
            folders,
            shown,
            f"{comparison.dataset}, {comparison.configuration}: {part.num_cases} labelled cases",
            f"label fold {part.fold} (of fold {part.of_fold}, repeat {part.repeat}); best, median "
            f"and worst by the mean of the trainers; gain and loss over the twin",
            path,
        )
        return True

    def _case_distances(
        self, folder: Path, case: str, measured: Measured
    ) -> dict[str, list[float]]:
        """Both distances per label name."""
        name = f"{case}{self.file_ending}"
        prediction = folder / SUMMARY.parent / name
        reference = self.folder / "gt_segmentations" / name
        for file in (prediction, reference):
            if not file.is_file():
                raise ValueError(
                    f"There is no {file} to measure surface distances from. Predictions are made "
                    f"again by nnUNetv2_train with --val, references by preprocessing; or do "
                    f"without: --no_surface."
                )
        # Labels are part of the key: they may have been changed.
        key = "/".join([*folder.parts[-3:], case, str(dict(self.labels))])
        return measured.get(
            key, (prediction, reference), lambda: self._measure(prediction, reference)
        )

    def _measure(self, prediction: Path, reference: Path) -> dict[str, list[float]]:
        (true, properties), (found, _) = (self._read(file) for file in (reference, prediction))
        if self.ignore_label is not None:
            found = np.where(true == self.ignore_label, 0, found)
        # [1, D, H, W]; one slice for 2D images, whose depth nnU-Net makes up.
        is_flat = true.shape[1] == 1
        spacing = tuple(properties["spacing"])[int(is_flat) :]
        distances = {}
        for key, label in self.labels.items():
            masks = [region_or_label_to_mask(seg[0], key) for seg in (true, found)]
            true_mask, found_mask = (mask[0] if is_flat else mask for mask in masks)
            try:
                result = surface_distances(true_mask, found_mask, spacing)
            except ValueError as error:
                raise ValueError(f"{prediction} and {reference}: {error}") from error
            distances[label] = [result.hausdorff_mm, result.average_mm]
        return distances

    def _read(self, file: Path) -> tuple[np.ndarray, dict]:
        try:
            return self.reader.read_seg(str(file))
        # Readers have errors of their own.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(
                f"{file} cannot be read ({reason}). Predictions are made again by nnUNetv2_train "
                f"with --val, references by preprocessing; or do without: --no_surface."
            ) from error


def _score_lines(chosen: ChosenRun, case: str) -> tuple[str, ...]:
    dice = {label: values[case] for label, values in chosen.scores[DICE].items()}
    mean = dice.pop(MEAN)
    return score_lines(DICE.name, mean, dice)


def _of_each(
    overlaps: Mapping[str, Mapping[str, Overlap]], number: Callable[[Overlap], float]
) -> dict[str, dict[str, float]]:
    """A number of every label and case."""
    return {
        label: {case: number(overlap) for case, overlap in of_label.items()}
        for label, of_label in overlaps.items()
    }


def _mean_of_labels(labels: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Per case, over the labels that are in it; infinite if one of these has no distance."""
    means = {}
    for case in next(iter(labels.values())):
        values = [scores[case] for scores in labels.values() if not math.isnan(scores[case])]
        means[case] = float(np.mean(values)) if values else math.nan
    return means
