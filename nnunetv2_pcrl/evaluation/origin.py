"""What a finished training says of itself: its length, weights, warnings and device."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.experiments.states import transfer_report, weights_used

# nnU-Net's, of what a training ran with.
DEBUG_FILE = "debug.json"


@dataclass(frozen=True)
class Origin:
    """Where the result of a training comes from; None where it does not say.

    Attributes:
        epochs: number of them.
        weights: file that it started from.
        warnings: of those weights, as its transfer report has them.
        device: name of its GPU, or nnU-Net's name of the device.
    """

    epochs: int | None = None
    weights: Path | None = None
    warnings: tuple[str, ...] = ()
    device: str | None = None


def read_origin(folder: Path, epochs: int | None) -> Origin:
    """Reads what lies in a training's result folder.

    Args:
        folder: of the training.
        epochs: that its curve has, if it has one.
    """
    report = transfer_report(folder)
    remarks = report.get("remarks")
    remarks = remarks if isinstance(remarks, list) else []
    warnings = tuple(str(remark) for remark in remarks if str(remark).startswith("WARNING"))
    return Origin(epochs, weights_used(report), warnings, _device(folder))


def _device(folder: Path) -> str | None:
    try:
        debug: Mapping[str, Any] = json.loads((folder / DEBUG_FILE).read_text(encoding="utf-8"))
        device = str(debug["device"])
        # nnU-Net notes the machine's GPU whether it was used or not.
        return str(debug["gpu_name"]) if device.startswith("cuda") else device
    except (OSError, ValueError, KeyError, TypeError):
        return None
