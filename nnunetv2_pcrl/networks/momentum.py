"""Teachers: copies of a module that follow it slowly and get no gradient."""

import copy
import math
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def copy_without_gradient(student: Module) -> Module:
    """A teacher that begins as its student: a copy that shares nothing and gets no gradient."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def move(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Moves a teacher towards its student: t <- momentum t + (1 - momentum) s.

    Statistics of batch normalisation move like parameters; what is counted is copied.

    Args:
        teacher: made by `copy_without_gradient`; changed in place.
        student: of the same architecture.
        momentum: 1 keeps the teacher as it is, 0 copies the student.

    Raises:
        ValueError: if the momentum is not in [0, 1].

    Source: Tarvainen and Valpola 2017 (Mean Teacher), there for parameters alone.
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"the momentum of a teacher must be in [0, 1], got {momentum}")
    own = (*teacher.parameters(), *teacher.buffers())
    others = (*student.parameters(), *student.buffers())
    for value, other in zip(own, others, strict=True):
        if value.is_floating_point():
            value.lerp_(other.to(value.dtype), 1 - momentum)
        else:
            value.copy_(other)


def rising_momentum(first: float, done: float) -> float:
    """From its first value to 1 by a half cosine: the teacher settles as the training ends.

    Args:
        first: in [0, 1].
        done: part of the way, in [0, 1].

    Source: Grill et al. 2020 (BYOL).
    """
    return 1 - (1 - first) * (1 + math.cos(math.pi * done)) / 2
