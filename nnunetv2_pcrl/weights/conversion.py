"""Turning the content of a checkpoint into tensors and plain values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnunetv2_pcrl.weights.atomic import check_can_be_made
from nnunetv2_pcrl.weights.duplicates import as_trained
from nnunetv2_pcrl.weights.portable import write_weights
from nnunetv2_pcrl.weights.reading import (
    check_extent,
    check_not_the_authors,
    check_tensors,
    is_state_dict,
    load_safely,
    reading_error,
)
from nnunetv2_pcrl.weights.remarks import notes_on
from nnunetv2_pcrl.weights.sources import source_from

# Where frameworks keep a network's tensors.
STATE_DICTS = ("network_weights", "state_dict", "model_state_dict", "model")
# State of a training, which weights do not need and which multiplies a file's size.
NOT_KEPT = ("optimizer_state", "optimizer", "optimizer_state_dict", "grad_scaler_state", "logging")


def convert(path: Path, output: Path, trust: bool) -> list[str]:
    """Writes a checkpoint's weights, and the plain values beside them, into a file that is safe.

    Args:
        path: checkpoint.
        output: file to write; it must not exist.
        trust: whether objects in it may be unpickled, which can run any code.

    Returns:
        What was written, and what is odd about it.

    Raises:
        ValueError: naming the file, if it needs objects and is not trusted, if it holds no U-Net of
            the known shape, or if the output exists already.
        OSError: if one of the files cannot be read or written.
    """
    check_can_be_made(output)
    content = _load(path, trust)
    try:
        plain, dropped = plain_content(content)
        source = source_from(plain)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    weights, _ = as_trained(plain.pop("network_weights"))
    write_weights(output, weights, plain)
    text = f"Wrote {len(weights)} tensors ({source.kind}) to {output}"
    if dropped:
        text += f"; left out, as no plain values: {', '.join(dropped)}"
    return [*notes_on(source), text]


def _load(path: Path, trust: bool) -> Any:
    if not trust:
        return load_safely(path)
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}")
    check_not_the_authors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=False)
    except (OSError, MemoryError) as error:
        raise reading_error(path, error) from error
    except Exception as error:
        # Objects of a file may raise anything, as may a truncated file.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path} cannot be read: {reason[:300]}. Make or copy it again") from error
    check_extent(path, content)
    return content


def plain_content(content: Any) -> tuple[dict[str, Any], list[str]]:
    """A file's content as the portable file holds it.

    Args:
        content: what was unpickled: a state dict, or a dictionary with one.

    Returns:
        The content with its tensors under `network_weights`, and the names of entries that were
        left out because they are no plain values.

    Raises:
        ValueError: if there are no tensors by name, or none that a network could hold.
    """
    if is_state_dict(content):
        check_tensors(content)
        return {"network_weights": content}, []
    entries = content if isinstance(content, Mapping) else {}
    key = next((key for key in STATE_DICTS if is_state_dict(entries.get(key))), None)
    if key is None:
        raise ValueError(
            f"the file holds no network weights: none of {', '.join(STATE_DICTS)} is a dictionary "
            f"of tensors; it holds {', '.join(map(str, entries)) or type(content).__name__}"
        )
    check_tensors(entries[key])
    dropped: list[str] = []
    plain = {
        str(name): _plain(value, str(name), dropped)
        for name, value in entries.items()
        if name != key and name not in NOT_KEPT
    }
    return {**plain, "network_weights": dict(entries[key])}, dropped


def _plain(value: Any, where: str, dropped: list[str]) -> Any:
    """The value in plain types; None in the place of what has none, whose name is noted."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor) and value.layout is torch.strided:
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{where}.{k}", dropped) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{where}[{i}]", dropped) for i, v in enumerate(value)]
    dropped.append(where)
    return None
