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
    for second_name, value in weights.items():
        match = _SECOND_NAME.fullmatch(second_name)
        if match is None:
            continue
        # The convolution comes first; of the other modules only the norm has tensors.
        unit = "conv" if match["number"] == "0" else "norm"
        name = f"{match['block']}{unit}.{match['tensor']}"
        if name in weights and not _are_equal(weights[name], value):
            trained[name] = value
            changed.append(name)
    return trained, tuple(changed)


def _are_equal(one: Tensor, other: Tensor) -> bool:
    is_same = one.data_ptr() == other.data_ptr() and one.shape == other.shape
    return is_same or (one.shape == other.shape and torch.equal(one, other))
