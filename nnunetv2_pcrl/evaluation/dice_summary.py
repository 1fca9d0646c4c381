"""Dice of single cases, as nnU-Net wrote it after the validation of a training."""

import math
from collections.abc import Collection, Mapping
from pathlib import Path

from nnunetv2.evaluation.evaluate_predictions import load_summary_json

from nnunetv2_pcrl.tasks.segmentation.label_names import LabelKey


def read_dice(
    path: Path, labels: Mapping[LabelKey, str], cases: Collection[str], file_ending: str
) -> dict[str, dict[str, float]]:
    """Dice per label and case.

    Args:
        path: summary.json of a validation.
        labels: names of the labels or regions that it must have, and no others.
        cases: that were to be validated.
        file_ending: of the predictions, e.g. .nii.gz.

    Returns:
        Label name to case to Dice in [0, 1]; NaN where the label is in neither the reference nor
        the prediction.

    Raises:
        ValueError: if the file is damaged, or holds other labels or other cases.
    """
    try:
        entries = load_summary_json(str(path))["metric_per_case"]
        found = [Path(entry["prediction_file"]).name for entry in entries]
        measured = [entry["metrics"] for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no summary of a validation ({type(error).__name__}: {error}). Make it "
            f"again: nnUNetv2_train with the same arguments and --val."
        ) from error
    names = [name.removesuffix(file_ending) for name in found]
    _check_cases(path, names, cases)
    for name, metrics in zip(names, measured, strict=True):
        if set(metrics) != set(labels):
            raise ValueError(
                f"{path} holds the labels {_listed(metrics)} for {name}, dataset.json has "
                f"{_listed(labels)}: was the data set changed after the training?"
            )
    return {
        label: {
            name: _number(metrics[key]["Dice"])
            for name, metrics in zip(names, measured, strict=True)
        }
        for key, label in labels.items()
    }


def _check_cases(path: Path, names: list[str], cases: Collection[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path} holds {', '.join(twice)} more than once.")
    missing, more = sorted(set(cases) - set(names)), sorted(set(names) - set(cases))
    if missing or more:
        raise ValueError(
            f"{path} holds {len(names)} cases, the fold validates on {len(cases)} "
            f"(missing: {_some(missing)}; not of the fold: {_some(more)}). All trainers must "
            f"have validated on the same cases: remove predictions of other cases from that "
            f"folder, and validate again with --val."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"


def _listed(labels: Collection[LabelKey]) -> str:
    return ", ".join(sorted(map(str, labels)))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
