"""Moves what was prepared for making views to a device, whatever dataclasses it consists of."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


def on_device(value: Value, device: torch.device) -> Value:
    """The same value with all its tensors on the device; from pinned memory without waiting."""
    return map_tensors(value, lambda tensor: tensor.to(device, non_blocking=True))


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Applies a function to every tensor in dataclasses, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple):
        return tuple(map_tensors(item, function) for item in value)
    if isinstance(value, dict):
        return {key: map_tensors(item, function) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        changes = {
            field.name: map_tensors(getattr(value, field.name), function)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **changes)
    return value
