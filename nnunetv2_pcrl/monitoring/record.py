"""monitoring.json: what a run tells the report, rewritten after every epoch."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.weights.atomic import replaced_atomically

RECORD_NAME = "monitoring.json"


def write_record(folder: str | os.PathLike, record: Mapping[str, Any]) -> None:
    """Writes the record of a run; numbers that are not finite become null."""
    with replaced_atomically(Path(folder) / RECORD_NAME) as temporary:
        temporary.write_text(json.dumps(_plain(record), allow_nan=False))


def read_record(folder: str | os.PathLike) -> dict[str, Any]:
    """Reads the record of a run; null among logged numbers becomes NaN.

    Raises:
        ValueError: if there is none, or it cannot be read.
    """
    path = Path(folder) / RECORD_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"There is no {RECORD_NAME} in {folder}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    record["logged"] = {
        name: [math.nan if value is None else value for value in values]
        for name, values in record["logged"].items()
    }
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
