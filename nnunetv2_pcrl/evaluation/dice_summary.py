"""Overlaps of single cases, as nnU-Net wrote them after the validation of a training."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from nnunetv2.evaluation.evaluate_predictions import load_summary_json

from nnunetv2_pcrl.tasks.segmentation.label_names import LabelKey


@dataclass(frozen=True)
class Overlap:
    """Of one label in one case.

    Attributes:
        dice: in [0, 1]; NaN where the label is not in the reference. nnU-Net has 0 there if some of
            it was found, and nothing if not, so that a mean depends on who finds something.
        is_there: whether the label is in the reference.
        is_found: whether it is in the prediction.
    """

    dice: float
    is_there: bool
    is_found: bool

    @classmethod
    def of_summary(cls, metrics: Mapping[str, float | None]) -> "Overlap":
        """From nnU-Net's numbers of voxels and its Dice."""
        is_there, is_found = (bool(metrics[name]) for name in ("n_ref", "n_pred"))
        dice = metrics["Dice"]
        return cls(float(dice) if is_there and dice is not None else math.nan, is_there, is_found)


def read_overlaps(
    path: Path, labels: Mapping[LabelKey, str], cases: Collection[str], file_ending: str
) -> dict[str, dict[str, Overlap]]:
    """Overlap per label and case.

    Args:
        path: summary.json of a validation.
        labels: names of the labels or regions that it must have, and no others.
        cases: that were to be validated.
        file_ending: of the predictions, e.g. .nii.gz.

    Returns:
        Label name to case to overlap.

    Raises:
        ValueError: if the file is damaged, or holds other labels or other cases.
    """
    try:
        entries = load_summary_json(str(path))["metric_per_case"]
        found = [Path(entry["prediction_file"]).name for entry in entries]
        measured = [
            {key: Overlap.of_summary(metrics) for key, metrics in entry["metrics"].items()}
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no summary of a validation ({type(error).__name__}: {error}). Make it "
            f"again: nnUNetv2_train with the same arguments and --val."
        ) from error
    names = [name.removesuffix(file_ending) for name in found]
    _check_cases(path, names, cases)
    for name, of_case in zip(names, measured, strict=True):
        if set(of_case) != set(labels):
            raise ValueError(
                f"{path} holds the labels {_listed(of_case)} for {name}, dataset.json has "
                f"{_listed(labels)}: was the data set changed after the training?"
            )
    return {
        label: {name: of_case[key] for name, of_case in zip(names, measured, strict=True)}
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
