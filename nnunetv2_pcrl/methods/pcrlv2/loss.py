"""The PCRLv2 loss: which levels are compared, and how."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.losses.similarity import symmetric_similarity


@dataclass(frozen=True)
class Levels:
    """Pyramid levels drawn for one step.

    Attributes:
        shared: level k of the global comparison and of the level restoration: the same draw.
        local: for every local view n the levels (a_n, b_n) of its comparisons with v0 and v1.
    """

    shared: int
    local: tuple[tuple[int, int], ...]

    @property
    def of_first_global(self) -> frozenset[int]:
        """Levels at which v0 is embedded."""
        return frozenset({self.shared, *(a for a, _ in self.local)})

    @property
    def of_second_global(self) -> frozenset[int]:
        """Levels at which v1 is embedded."""
        return frozenset({self.shared, *(b for _, b in self.local)})

    @property
    def of_local(self) -> frozenset[int]:
        """Levels at which the local views are embedded."""
        return frozenset(level for pair in self.local for level in pair)


def draw_levels(
    num_levels: int, num_local: int, generator: torch.Generator, is_shared: bool = False
) -> Levels:
    """Draws every level of a step uniformly and independently.

    Args:
        num_levels: levels of the pyramid, the full-resolution level included.
        num_local: local views per image.
        generator: random source.
        is_shared: draw one level for all comparisons of the step instead. The expected loss is the
            same; views that are compared only pass no further than that level.
    """
    if is_shared:
        level = int(torch.randint(num_levels, (1,), generator=generator))
        return Levels(level, ((level, level),) * num_local)
    draws = torch.randint(num_levels, (1 + 2 * num_local,), generator=generator).tolist()
    return Levels(draws[0], tuple(zip(draws[1::2], draws[2::2], strict=True)))


def level_restoration_weight(progress: float) -> float:
    """The weight beta = (1 + cos(pi progress)) / 2: 1 at the start, 0 at the end.

    Args:
        progress: finished epochs over all epochs.

    Source: Zhou et al. 2023 (PCRLv2); the authors hard-code 240 epochs.
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


Embedding = tuple[Tensor, Tensor]


def comparison(first: Embedding, second: Embedding) -> Tensor:
    """S of two views at one level, e.g. S_k(v0, v1).

    Args:
        first: projection z and prediction p of one view, each [B, F].
        second: the same of the other view.

    Returns:
        Scalar in [-1, 1].
    """
    return symmetric_similarity(
        torch.stack([first[1], second[1]]), torch.stack([first[0], second[0]])
    )


def local_comparison(
    first: Mapping[int, Embedding],
    second: Mapping[int, Embedding],
    local: Mapping[int, Embedding],
    levels: Levels,
) -> Tensor:
    """Mean over all local views n of [S_{a_n}(v0, l_n) + S_{b_n}(v1, l_n)] / 2.

    Args:
        first, second: per level, projection z and prediction p of v0 and v1, each [B, F].
        local: per level, z and p of all local views, each [L, B, F].
        levels: the drawn levels.

    Returns:
        Scalar in [-1, 1].

    Source: Zhou et al. 2023 (PCRLv2).
    """
    terms = []
    for n, pair in enumerate(levels.local):
        for embeddings, level in zip((first, second), pair, strict=True):
            projections, predictions = local[level]
            terms.append(comparison(embeddings[level], (projections[n], predictions[n])))
    return torch.stack(terms).mean()
