"""validation_cases.png: the best, the median and the worst case of a validation."""

import math
from pathlib import Path

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import load_summary_json
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_pcrl.tasks.segmentation.case_figure import score_lines
from nnunetv2_pcrl.tasks.segmentation.case_pictures import (
    SegmentedData,
    ShownCase,
    draw_cases,
)
from nnunetv2_pcrl.tasks.segmentation.label_names import LabelKey, label_names
from nnunetv2_pcrl.tasks.segmentation.ranking import best_median_worst, ranks_by_case

PICTURE_NAME = "validation_cases.png"


def draw_validation_cases(trainer: nnUNetTrainer) -> Path:
    """Draws the picture into the result folder of a training that has validated.

    Args:
        trainer: after nnU-Net's perform_actual_validation.

    Returns:
        The file.

    Raises:
        ValueError: if no case has a Dice, or an image is missing.
    """
    manager = trainer.label_manager
    keys = manager.foreground_regions if manager.has_regions else manager.foreground_labels
    labels = label_names(keys, trainer.dataset_json["labels"])
    folder = Path(trainer.output_folder) / "validation"
    dice = read_dice_by_case(folder / "summary.json", trainer.dataset_json["file_ending"])
    means = {case: mean_dice(by_label) for case, by_label in dice.items()}
    ranks = ranks_by_case(best_median_worst(means))
    if not ranks:
        raise ValueError(f"no case of {folder} has a Dice: no label is in any of them")
    shown = [
        ShownCase(
            rank,
            case,
            (
                score_lines(
                    "Dice", means[case], {name: dice[case][key] for key, name in labels.items()}
                ),
            ),
        )
        for case, rank in ranks.items()
    ]
    data = SegmentedData(
        Path(trainer.preprocessed_dataset_folder_base),
        trainer.dataset_json,
        trainer.plans_manager.image_reader_writer_class(),
        labels,
        manager.ignore_label,
    )
    path = Path(trainer.output_folder) / PICTURE_NAME
    finite = [value for value in means.values() if math.isfinite(value)]
    draw_cases(
        data,
        {"prediction": folder},
        shown,
        f"{trainer.plans_manager.dataset_name}, {trainer.configuration_name}: best, median and "
        f"worst of {len(finite)} validation cases",
        f"{type(trainer).__name__}, fold {trainer.fold}; mean Dice {np.mean(finite):.3f}, from "
        f"{min(finite):.3f} to {max(finite):.3f}",
        path,
    )
    return path


def read_dice_by_case(summary: Path, file_ending: str) -> dict[str, dict[LabelKey, float]]:
    """Dice of every case and label, NaN where the label is in neither reference nor prediction.

    Args:
        summary: that nnU-Net wrote of a validation.
        file_ending: of the predictions, e.g. .nii.gz.
    """
    found = {}
    for entry in load_summary_json(str(summary))["metric_per_case"]:
        case = Path(entry["prediction_file"]).name.removesuffix(file_ending)
        found[case] = {
            key: math.nan if metrics["Dice"] is None else float(metrics["Dice"])
            for key, metrics in entry["metrics"].items()
        }
    return found


def mean_dice(by_label: dict[LabelKey, float]) -> float:
    """Over the labels that a case has; NaN if it has none."""
    values = [value for value in by_label.values() if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan
