"""Moves what was prepared for making views, whatever dataclasses it consists of."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Value = TypeVar("Value")


def on_device(value: Value, device: torch.device) -> Value:
    """The same with all tensors and arrays on the device; from pinned memory without waiting."""
    moved: Value = _mapped(value, lambda item: torch.as_tensor(item).to(device, non_blocking=True))
    return moved


def pinned(value: Value) -> Value:
    """The same with all its tensors and arrays in page-locked memory."""
    locked: Value = _mapped(value, lambda item: torch.as_tensor(item).pin_memory())
    return locked


def as_arrays(value: Value) -> Value:
    """The same with numpy arrays in place of its tensors.

    A tensor is sent to another process as an open file, of which a process may have about a
    thousand. Small ones are better sent as what they are.
    """
    arrays: Value = _mapped(value, np.asarray)
    return arrays


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """Applies a function to every tensor and array in dataclasses, tuples and dictionaries."""
    if isinstance(value, (Tensor, np.ndarray)):
        return function(value)
    if isinstance(value, tuple):
        return tuple(_mapped(item, function) for item in value)
    if isinstance(value, dict):
        return {key: _mapped(item, function) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {
            field.name: _mapped(getattr(value, field.name), function)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **changes)
    return value
