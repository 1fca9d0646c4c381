"""Convolutions that a state dict holds twice: which of the two was trained.

A convolution block of nnU-Net names its convolution and norm a second time, as `all_modules.0` and
so on, and runs only these. Both names hold one tensor, unless somebody replaced modules one by one:
nnssl does so to make an encoder sparse (SparK, S3D), and leaves under the first names what the
network was initialised with.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_SECOND_NAME = re.compile(r"(?P<block>.*\.|)all_modules\.(?P<number>\d+)\.(?P<tensor>\w+)")


def as_trained(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors that ran, under all their names.

    Returns:
        The weights, and the names of the form `conv` or `norm` that held something else than
        `all_modules` does, which they now hold too.
    """
    trained, changed = dict(weights), []
    second_names = {name: match for name in weights if (match := _SECOND_NAME.fullmatch(name))}
    numbers: dict[str, set[int]] = {}
    for match in second_names.values():
        numbers.setdefault(match["block"], set()).add(int(match["number"]))
    for second_name, match in second_names.items():
        value, number = weights[second_name], int(match["number"])
        # The convolution comes first, then the norm: what lies between them, dropout, has no
        # tensors, but an activation behind them may have.
        if number not in sorted(numbers[match["block"]] | {0})[:2]:
            continue
        unit = "norm" if number else "conv"
        name = f"{match['block']}{unit}.{match['tensor']}"
        if (
            name in weights
            and weights[name].shape == value.shape
            and not _are_equal(weights[name], value)
        ):
            trained[name] = value
            changed.append(name)
    return trained, tuple(changed)


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Of one shape."""
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)
