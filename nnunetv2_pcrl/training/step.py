"""The terms of the PCRLv2 loss from a batch of views, in one forward pass.

Knows the network and the losses, nothing of nnU-Net. `two_pass` computes the same in the memory of
a few views.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.losses.restoration import restoration_error
from nnunetv2_pcrl.losses.similarity import feature_spread, projection_spread
from nnunetv2_pcrl.methods.pcrlv2.loss import (
    Embedding,
    Levels,
    PCRLv2Terms,
    comparison,
    local_comparison,
)
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.networks.heads import global_average_pool
from nnunetv2_pcrl.training.joint_batch import JointBatch


@dataclass(frozen=True)
class ViewBatch:
    """Views of a batch of images.

    Attributes:
        target: clean v0, shape [B, C, (D,) H, W].
        global_views: corrupted v0 and v1, shape [2, B, C, (D,) H, W].
        local_views: corrupted local views, shape [L, B, C, (d,) h, w].
    """

    target: Tensor
    global_views: Tensor
    local_views: Tensor


@dataclass(frozen=True)
class StepResult:
    """Terms of the loss, and what is watched without gradient.

    Where several processes share the batch, the comparisons and spreads are those of the whole
    batch, and the restorations are this process's part: their mean over the processes is the whole.

    Attributes:
        terms: the four terms of the loss.
        projection_spreads, feature_spreads: per level, of v0.
    """

    terms: PCRLv2Terms
    projection_spreads: tuple[Tensor, ...]
    feature_spreads: tuple[Tensor, ...]


@dataclass(frozen=True)
class PooledViews:
    """Pooled features of the three populations of views, by level.

    Attributes:
        first, second: of v0 and v1, each [B, C].
        local: of all local views, [L * B, C], local view by local view.
    """

    first: dict[int, Tensor]
    second: dict[int, Tensor]
    local: dict[int, Tensor]


@dataclass(frozen=True)
class Evaluation(StepResult):
    """What is known of a batch without gradient.

    Attributes:
        level_errors: squared error of the restoration from every level; parts of a mean over the
            processes, as the restoration terms.
        pooled: features of the whole batch at every level.
    """

    level_errors: tuple[Tensor, ...]
    pooled: PooledViews


def pcrlv2_step(
    network: PCRLv2Network, views: ViewBatch, levels: Levels, joint: JointBatch | None = None
) -> StepResult:
    """Computes the loss terms of one batch at the given levels.

    The first global views, the second ones and all local views together are three populations of
    batch normalisation in the heads. Levels that nobody asks for are not computed.

    Args:
        network: backbone and heads.
        views: of this process's images.
        levels: drawn by `draw_levels`, the same in all processes.
        joint: how the B >= 2 images of the batch, the population of the comparison, are shared; by
            default all of them are in `views`.

    Source: Zhou et al. 2023 (PCRLv2).
    """
    joint = joint or JointBatch(len(views.target))
    first = network.backbone(views.global_views[0])
    second = network.backbone(views.global_views[1], max(levels.of_second_global))
    local = network.backbone(views.local_views.flatten(0, 1), max(levels.of_local))
    pooled = PooledViews(
        pool(first, range(network.num_levels)),
        pool(second, levels.of_second_global),
        pool(local, levels.of_local),
    )
    pooled = gather(pooled, joint, len(levels.local))
    full, level = restorations(network, first, views.target, levels.shared)
    return StepResult(
        PCRLv2Terms(
            joint.weight * full, joint.weight * level, *comparisons(network, pooled, levels)
        ),
        *spreads(network, pooled.first),
    )


def gather(pooled: PooledViews, joint: JointBatch, num_local: int) -> PooledViews:
    """The pooled features of all images from those of every process."""
    num_views = (1, 1, num_local)
    populations = (pooled.first, pooled.second, pooled.local)
    features = [
        population[level].unflatten(0, (number, -1))
        for population, number in zip(populations, num_views, strict=True)
        for level in sorted(population)
    ]
    gathered = iter(joint.gather(features))
    return PooledViews(
        *(
            {level: next(gathered).flatten(0, 1) for level in sorted(population)}
            for population in populations
        )
    )


def pool(pyramid: list[Tensor], levels: Iterable[int]) -> dict[int, Tensor]:
    """Pooled features [V, C] at the given levels of a pyramid of V views."""
    return {level: global_average_pool(pyramid[level]) for level in levels}


def restorations(
    network: PCRLv2Network, pyramid: list[Tensor], target: Tensor, shared: int
) -> tuple[Tensor, Tensor]:
    """R_full and R_k of first global views with the given pyramid."""
    full = restoration_error(network.restoration(pyramid[-1]), target)
    level = restoration_error(network.level_restorations[shared](pyramid[shared]), target)
    return full, level


def comparisons(
    network: PCRLv2Network, pooled: PooledViews, levels: Levels
) -> tuple[Tensor, Tensor]:
    """The global and the local comparison of all views of a batch.

    Every level that the comparison needs is embedded, other levels of `pooled` are not.
    """

    def embed(features: dict[int, Tensor], needed: frozenset[int]) -> dict[int, Embedding]:
        return {level: network.embed(level, features[level]) for level in needed}

    first = embed(pooled.first, levels.of_first_global)
    second = embed(pooled.second, levels.of_second_global)
    num_local = len(levels.local)
    local = {
        level: tuple(part.unflatten(0, (num_local, -1)) for part in embedding)
        for level, embedding in embed(pooled.local, levels.of_local).items()
    }
    return (
        comparison(first[levels.shared], second[levels.shared]),
        local_comparison(first, second, local, levels),
    )


@torch.no_grad()
def spreads(
    network: PCRLv2Network, pooled: dict[int, Tensor]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Spread of the projections and of the pooled features themselves, of every level."""
    features = [pooled[level] for level in range(network.num_levels)]
    projections = [p(x) for p, x in zip(network.projections, features, strict=True)]
    return tuple(map(projection_spread, projections)), tuple(map(feature_spread, features))
