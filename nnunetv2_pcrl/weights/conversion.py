"""Turning the content of a checkpoint into tensors and plain values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from nnunetv2_pcrl.weights.reading import is_state_dict

# Where frameworks keep a network's tensors.
STATE_DICTS = ("network_weights", "state_dict", "model_state_dict", "model")
# State of a training, which weights do not need and which multiplies a file's size.
NOT_KEPT = ("optimizer_state", "optimizer", "optimizer_state_dict", "grad_scaler_state", "logging")


def plain_content(content: Any) -> tuple[dict[str, Any], list[str]]:
    """A file's content as the portable file holds it.

    Args:
        content: what was unpickled: a state dict, or a dictionary with one.

    Returns:
        The content with its tensors under `network_weights`, and the names of entries that were
        left out because they are no plain values.

    Raises:
        ValueError: if there are no tensors by name.
    """
    if is_state_dict(content):
        return {"network_weights": content}, []
    entries = content if isinstance(content, Mapping) else {}
    key = next((key for key in STATE_DICTS if is_state_dict(entries.get(key))), None)
    if key is None:
        raise ValueError(
            f"the file holds no network weights: none of {', '.join(STATE_DICTS)} is a dictionary "
            f"of tensors; it holds {', '.join(map(str, entries)) or type(content).__name__}"
        )
    dropped: list[str] = []
    plain = {
        str(name): _plain(value, str(name), dropped)
        for name, value in entries.items()
        if name != key and name not in NOT_KEPT
    }
    return {**plain, "network_weights": dict(entries[key])}, dropped


def _plain(value: Any, where: str, dropped: list[str]) -> Any:
    """The value in plain types; None in the place of what has none, whose name is noted."""
    if value is None or type(value) in (bool, int, float, str) or isinstance(value, Tensor):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{where}.{k}", dropped) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{where}[{i}]", dropped) for i, v in enumerate(value)]
    dropped.append(where)
    return None
