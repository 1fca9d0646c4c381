"""The section "labels" of dataset.json: whether nnU-Net's training takes it, asked beforehand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2.utilities.label_handling.label_handling import LabelManager


def check_labels(dataset_json: Mapping[str, Any], path: Path) -> None:
    """Refuses labels with which every training would end.

    Args:
        dataset_json: its content.
        path: of the file, for the message.

    Raises:
        ValueError: with the section as it should be.
    """
    labels, order = dataset_json.get("labels"), dataset_json.get("regions_class_order")
    if not isinstance(labels, Mapping) or not labels:
        raise ValueError(f'"labels" in {path} must be like {{"background": 0, "liver": 1}}.')
    if _is_turned(labels):
        turned = {str(name): int(value) for value, name in labels.items()}
        raise ValueError(f'"labels" in {path} must have the names first: {_as_json(turned)}.')
    if "background" not in labels:
        wanted = {"background": 0, **labels}
        raise ValueError(f'"labels" in {path} must name the background: {_as_json(wanted)}.')
    regions = [name for name, value in labels.items() if isinstance(value, (list, tuple))]
    if any(len(labels[name]) > 1 for name in regions) and not isinstance(order, list):
        raise ValueError(
            f'{path} has regions ({", ".join(regions)}) and needs "regions_class_order": the value '
            f"of each region that is no background, the largest region first, e.g. "
            f"{list(range(1, len(labels)))}."
        )
    try:
        LabelManager(dict(labels), order)
    except Exception as error:
        # Assertions, and errors of types that depend on what a person wrote.
        reason = " ".join(str(error).split()) or "values are integers from 0, or lists of them"
        raise ValueError(f'nnU-Net does not take the "labels" of {path}: {reason}.') from error


def _is_turned(labels: Mapping[str, Any]) -> bool:
    """Whether numbers come first, as in nnU-Net v1 and the decathlon."""
    return all(str(key).isdigit() and isinstance(value, str) for key, value in labels.items())


def _as_json(labels: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in labels.items()) + "}"
