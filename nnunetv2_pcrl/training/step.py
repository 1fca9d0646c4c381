"""One PCRLv2 step as a function: from a batch of views to the terms of the loss.

Every view passes the backbone once. Knows the network and the losses, nothing of nnU-Net.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.losses.pcrlv2 import Levels, PCRLv2Terms, comparison, local_comparison
from nnunetv2_pcrl.losses.restoration import restoration_error
from nnunetv2_pcrl.losses.similarity import feature_spread, projection_spread
from nnunetv2_pcrl.networks.heads import global_average_pool
from nnunetv2_pcrl.networks.pcrlv2 import PCRLv2Network


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
    """Terms of the loss with gradient, and what is watched without.

    Attributes:
        terms: the four terms of the loss.
        projection_spreads, feature_spreads: per level, of v0.
    """

    terms: PCRLv2Terms
    projection_spreads: tuple[Tensor, ...]
    feature_spreads: tuple[Tensor, ...]


def pcrlv2_step(network: PCRLv2Network, views: ViewBatch, levels: Levels) -> StepResult:
    """Computes the loss terms of one batch at the given levels.

    The first global views, the second ones and all local views together are three populations of
    batch normalisation in the heads. Levels that nobody asks for are not computed.

    Args:
        network: backbone and heads.
        views: B >= 2 images; the batch is the population of the comparison.
        levels: drawn by `draw_levels`.

    Source: Zhou et al. 2023 (PCRLv2).
    """
    num_local, batch_size = views.local_views.shape[:2]
    first_pyramid = network.backbone(views.global_views[0])
    second_pyramid = network.backbone(views.global_views[1], max(levels.of_second_global))
    local_pyramid = network.backbone(views.local_views.flatten(0, 1), max(levels.of_local))

    first = _embed(network, first_pyramid, levels.of_first_global)
    second = _embed(network, second_pyramid, levels.of_second_global)
    local = {
        level: tuple(part.unflatten(0, (num_local, batch_size)) for part in embedding)
        for level, embedding in _embed(network, local_pyramid, levels.of_local).items()
    }
    shared = levels.shared
    terms = PCRLv2Terms(
        restoration=restoration_error(network.restoration(first_pyramid[-1]), views.target),
        level_restoration=restoration_error(
            network.level_restorations[shared](first_pyramid[shared]), views.target
        ),
        global_comparison=comparison(first[shared], second[shared]),
        local_comparison=local_comparison(first, second, local, levels),
    )
    with torch.no_grad():
        pooled = [global_average_pool(features) for features in first_pyramid]
        projections = [p(x) for p, x in zip(network.projections, pooled, strict=True)]
    return StepResult(
        terms,
        tuple(map(projection_spread, projections)),
        tuple(map(feature_spread, pooled)),
    )


def _embed(
    network: PCRLv2Network, pyramid: list[Tensor], levels: frozenset[int]
) -> dict[int, tuple[Tensor, Tensor]]:
    return {level: network.embed(level, global_average_pool(pyramid[level])) for level in levels}
