"""Random sources that are a function of a few numbers, so that any draw can be repeated."""

import numpy as np
import torch


def seeded_generator(*numbers: int) -> torch.Generator:
    """CPU generator whose stream depends on all numbers together, and on nothing else.

    Args:
        numbers: non-negative integers, e.g. (seed, stream, sample index). They are mixed by
            numpy's SeedSequence, so neighbouring numbers give unrelated streams. Their count is
            mixed in, because trailing zeros alone would change nothing there.
    """
    state = np.random.SeedSequence((len(numbers), *numbers)).generate_state(1, dtype=np.uint64)[0]
    return torch.Generator().manual_seed(int(state))


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A float drawn uniformly from [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator).item()


def integer(low: int, high: int, generator: torch.Generator) -> int:
    """An integer drawn uniformly from low..high, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=generator).item())


def coin(generator: torch.Generator) -> bool:
    """True in half of the draws."""
    return bool(torch.rand((), generator=generator).item() < 0.5)
