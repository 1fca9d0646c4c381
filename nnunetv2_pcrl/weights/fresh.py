"""Layers that no file brings: initialised equally every time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fixed_seed(seed: int = 0) -> Iterator[None]:
    """Draws on the CPU from a seed inside; outside it is as if nothing had been drawn.

    Networks are initialised on the CPU. So those of equal plans, built in here, are equal in every
    tensor, whatever was drawn before and whatever else they have.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
