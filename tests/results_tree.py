"""Makes the results of trainings on label folds, as nnU-Net would leave them, for tests."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK
import torch
from nnunetv2.evaluation.evaluate_predictions import compute_metrics, save_summary_json
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from prepared_dataset import configuration, plans

from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.label_folds.table import LabelFold

NAME = "Dataset998_Compared"
SHAPE = (14, 12, 16)
SPACING_MM = (2.0, 1.0, 1.0)
# Length of the first organ along the first axis: shifted by n voxels its Dice is 1 - n / 6.
LENGTH = 6
LABELS = {"background": 0, "first": 1, "second": 2}


def segmentation(shift: int = 0, second: bool = True) -> np.ndarray:
    """Two boxes [D, H, W]: the first shifted along the first axis, the second may be left out."""
    array = np.zeros(SHAPE, np.uint8)
    array[2 + shift : 2 + shift + LENGTH, 3:9, 2:7] = 1
    if second:
        array[2:8, 3:9, 10:14] = 2
    return array


class ResultsTree:
    """A data set in nnUNet_preprocessed with label folds, and results of trainings on them.

    Args:
        root: holds nnUNet_preprocessed and nnUNet_results.
        folds: the label folds; all of them validate on the same cases.
        references: of the validation cases.
        dataset_json: entries of dataset.json that replace the usual ones.
        name: of the data set.
    """

    def __init__(
        self,
        root: Path,
        folds: list[LabelFold],
        references: Mapping[str, np.ndarray],
        dataset_json: Mapping | None = None,
        name: str = NAME,
    ):
        self.preprocessed = root / "nnUNet_preprocessed" / name
        self.results = root / "nnUNet_results" / name
        self.raw = root / "nnUNet_raw" / name
        self.cases = list(references)
        self.dataset_json = {
            "channel_names": {"0": "MR"},
            "labels": LABELS,
            "numTraining": 9,
            "file_ending": ".nii.gz",
            **(dataset_json or {}),
        }
        planned = {**plans({"3d_fullres": configuration(3)}), "dataset_name": name}
        number = max(fold.fold for fold in folds) + 1
        splits = [{"train": ["other"], "val": self.cases}] * number
        (self.preprocessed / "gt_segmentations").mkdir(parents=True)
        for name, content in {
            "nnUNetPlans.json": planned,
            "dataset.json": self.dataset_json,
            "splits_final.json": splits,
            "label_folds.json": {"label_folds": [fold.as_plain() for fold in folds]},
        }.items():
            (self.preprocessed / name).write_text(json.dumps(content))
        for case, array in references.items():
            self._write(self.preprocessed / "gt_segmentations", case, array)

    def add_images(self) -> None:
        """The raw images of the validation cases, which pictures of cases are made from."""
        (self.raw / "imagesTr").mkdir(parents=True)
        for case in self.cases:
            self._write(self.raw / "imagesTr", f"{case}_0000", 100.0 * segmentation())

    @staticmethod
    def _write(folder: Path, case: str, array: np.ndarray) -> Path:
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(SPACING_MM[::-1])
        path = folder / f"{case}.nii.gz"
        SimpleITK.WriteImage(image, path)
        return path

    def folder(self, trainer: str, fold: int) -> Path:
        """Result folder of a run."""
        return TrainingRun(trainer, "nnUNetPlans", "3d_fullres", fold).folder(self.results)

    def add_run(
        self,
        trainer: str,
        fold: int,
        predictions: Mapping[str, np.ndarray],
        curve: tuple[float, ...] = (0.1, 0.5, 0.7),
    ) -> Path:
        """Writes what a finished training leaves; its result folder."""
        folder = self.folder(trainer, fold)
        (folder / "validation").mkdir(parents=True)
        named = dict(self.dataset_json["labels"])
        ignored = named.pop("ignore", None)
        labels = [tuple(v) if isinstance(v, list) else v for v in named.values() if v != 0]
        entries = []
        for case, array in predictions.items():
            path = self._write(folder / "validation", case, array)
            reference = self.preprocessed / "gt_segmentations" / path.name
            entries.append(
                compute_metrics(str(reference), str(path), SimpleITKIO(), labels, ignored)
            )
        for entry in entries:
            for metrics in entry["metrics"].values():
                metrics.update({name: float(value) for name, value in metrics.items()})
        means = {label: {"Dice": 0.0} for label in labels}
        summary = {"metric_per_case": entries, "mean": means, "foreground_mean": {"Dice": 0.0}}
        save_summary_json(summary, str(folder / "validation" / "summary.json"))
        checkpoint = {
            "network_weights": {"layer": torch.zeros(1)},
            "logging": {"mean_fg_dice": [np.float64(value) for value in curve]},
            "trainer_name": trainer,
        }
        torch.save(checkpoint, folder / "checkpoint_final.pth")
        return folder
