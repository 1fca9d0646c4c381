"""The exact gradient of a PCRLv2 step in the memory of a few views.

Instance normalisation keeps the images of a batch apart inside the backbone; only the heads' batch
normalisation brings them together, and it sees nothing but pooled features. Therefore:

1. without gradient, every view passes the backbone, a few at a time; pooled features are kept;
2. the comparison of the whole batch is computed from them and differentiated, down to them;
3. every view passes again with gradient, a few at a time, and the gradients of its pooled features
   are handed on into the backbone, together with the restoration of the first global view.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.losses.restoration import restoration_error
from nnunetv2_pcrl.methods.pcrlv2.loss import Levels, LossWeights, PCRLv2Terms
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.step import (
    Evaluation,
    PooledViews,
    StepResult,
    ViewBatch,
    comparisons,
    gather,
    pcrlv2_step,
    pool,
    restorations,
    spreads,
)


@dataclass(frozen=True)
class MicroBatch:
    """How many views pass the backbone at a time.

    Attributes:
        global_views, local_views: at least 1 each.
    """

    global_views: int
    local_views: int

    @classmethod
    def of_plan(
        cls,
        batch_size: int,
        patch_size: Sequence[int],
        global_size: Sequence[int],
        local_size: Sequence[int],
        global_views: int | None = None,
    ) -> "MicroBatch":
        """As many views as have half the voxels of a segmentation step of the plan, at least one.

        Half, so that the views of the whole comparison batch find room beside them: with all of
        its voxels the step was measured to need slightly more memory than segmentation. If a
        number of global views is given, as many voxels as these.
        """
        voxels = batch_size * math.prod(patch_size) // 2
        if global_views is not None:
            voxels = global_views * math.prod(global_size)
        return cls(
            max(1, voxels // math.prod(global_size)), max(1, voxels // math.prod(local_size))
        )

    def holds(self, views: ViewBatch) -> bool:
        """True if a whole batch is no more than a micro-batch."""
        num_local, batch_size = views.local_views.shape[:2]
        return batch_size <= self.global_views and num_local * batch_size <= self.local_views


@dataclass(frozen=True)
class Precision:
    """Mixed precision of a step.

    Attributes:
        autocast: gives the context of forward passes.
        scale: factor of the loss before it is differentiated.
    """

    autocast: Callable[[], AbstractContextManager] = nullcontext
    scale: float | Tensor = 1.0


def couples_images(backbone: nn.Module) -> bool:
    """True if a view's features depend on the other views of a pass, or on chance.

    Batch normalisation and dropout do that; the two passes would then not agree.
    """
    return any(
        isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd)
        for module in backbone.modules()
    )


def accumulate_gradients(
    network: PCRLv2Network,
    views: ViewBatch,
    levels: Levels,
    weights: LossWeights,
    micro_batch: MicroBatch | None,
    precision: Precision | None = None,
    joint: JointBatch | None = None,
) -> StepResult:
    """Adds the gradient of the scaled loss to every parameter that the step uses.

    Where several processes share the batch, their mean gradient is that of the whole batch.

    Args:
        network: backbone and heads; only a backbone that does not couple images may be given a
            micro-batch.
        views: of this process's images.
        levels: drawn by `draw_levels`.
        weights: of the terms. Views of a comparison without weight get no gradient and are passed
            once only.
        micro_batch: views at a time; None for a single pass.
        precision: mixed precision; none by default.
        joint: how the B >= 2 images of the batch, the population of the comparison, are shared; by
            default all of them are in `views`.

    Returns:
        The terms, without gradient.
    """
    precision = precision or Precision()
    joint = joint or JointBatch(len(views.target))
    if micro_batch is None or micro_batch.holds(views):
        with precision.autocast():
            result = pcrlv2_step(network, views, levels, joint)
        (precision.scale * result.terms.total(weights)).backward()
        return _detached(result)

    local_views = views.local_views.flatten(0, 1)
    first, second = views.global_views
    with torch.no_grad(), precision.autocast():
        pooled = PooledViews(
            _pool_in_parts(network, first, levels.of_first_global, micro_batch.global_views),
            _pool_in_parts(network, second, levels.of_second_global, micro_batch.global_views),
            _pool_in_parts(network, local_views, levels.of_local, micro_batch.local_views),
        )
    for population in (pooled.first, pooled.second, pooled.local):
        for features in population.values():
            features.requires_grad_()
    with precision.autocast():
        gathered = gather(pooled, joint, len(levels.local))
        global_term, local_term = comparisons(network, gathered, levels)
    (precision.scale * weights.comparison * (global_term + local_term)).backward()

    if weights.comparison:
        _hand_on(network, second, pooled.second, micro_batch.global_views, precision)
        _hand_on(network, local_views, pooled.local, micro_batch.local_views, precision)
    full, level, all_pooled = _restore_and_hand_on(
        network,
        views,
        levels,
        (joint.weight * weights.restoration, joint.weight * weights.level_restoration),
        pooled.first,
        micro_batch,
        precision,
    )
    terms = PCRLv2Terms(joint.weight * full, joint.weight * level, global_term, local_term)
    all_pooled = gather(PooledViews(all_pooled, {}, {}), joint, 0).first
    return _detached(StepResult(terms, *spreads(network, all_pooled)))


@torch.no_grad()
def evaluate(
    network: PCRLv2Network,
    views: ViewBatch,
    levels: Levels,
    micro_batch: MicroBatch | None,
    joint: JointBatch | None = None,
) -> Evaluation:
    """The terms of a batch without gradient, a few views at a time (all if `micro_batch` is None).

    Its terms and spreads equal those of `pcrlv2_step`; every level is computed.
    """
    joint = joint or JointBatch(len(views.target))
    first, second = views.global_views
    local_views = views.local_views.flatten(0, 1)
    micro_batch = micro_batch or MicroBatch(len(first), len(local_views))
    all_levels = range(network.num_levels)
    full, level_errors, all_pooled = [], [], []
    for part in _parts(len(first), micro_batch.global_views):
        pyramid, target = network.backbone(first[part]), views.target[part]
        share = joint.weight * len(target) / len(first)
        full.append(share * restoration_error(network.restoration(pyramid[-1]), target))
        errors = [
            share * restoration_error(head(features), target)
            for head, features in zip(network.level_restorations, pyramid, strict=True)
        ]
        level_errors.append(torch.stack(errors))
        all_pooled.append(pool(pyramid, all_levels))
    pooled = PooledViews(
        _joined(all_pooled),
        _pool_in_parts(network, second, all_levels, micro_batch.global_views),
        _pool_in_parts(network, local_views, all_levels, micro_batch.local_views),
    )
    pooled = gather(pooled, joint, len(levels.local))
    errors = tuple(sum(level_errors))
    terms = PCRLv2Terms(sum(full), errors[levels.shared], *comparisons(network, pooled, levels))
    return Evaluation(terms, *spreads(network, pooled.first), errors, pooled)


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _joined(parts: list[dict[int, Tensor]]) -> dict[int, Tensor]:
    return {level: torch.cat([part[level] for part in parts]) for level in parts[0]}


def _pool_in_parts(
    network: PCRLv2Network, views: Tensor, levels: Iterable[int], size: int
) -> dict[int, Tensor]:
    return _joined(
        [
            pool(network.backbone(views[part], max(levels)), levels)
            for part in _parts(len(views), size)
        ]
    )


def _pull(pyramid: list[Tensor], pooled: dict[int, Tensor], part: slice) -> Tensor:
    """A scalar whose gradient for the backbone is that of the comparison."""
    features = pool(pyramid, pooled)
    return sum((features[level] * pooled[level].grad[part]).sum() for level in pooled)


def _hand_on(
    network: PCRLv2Network,
    views: Tensor,
    pooled: dict[int, Tensor],
    size: int,
    precision: Precision,
) -> None:
    """Third pass of views that are compared only. Their gradients are scaled already."""
    for part in _parts(len(views), size):
        with precision.autocast():
            pull = _pull(network.backbone(views[part], max(pooled)), pooled, part)
        pull.backward()


def _restore_and_hand_on(
    network: PCRLv2Network,
    views: ViewBatch,
    levels: Levels,
    weights: tuple[float, float],
    pooled: dict[int, Tensor],
    micro_batch: MicroBatch,
    precision: Precision,
) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
    """Third pass of the first global views: their restorations, and their part of the comparison.

    `weights` are those of R_full and R_k in the loss.

    Returns:
        R_full and R_k of these views without gradient, and pooled features of all levels.
    """
    first = views.global_views[0]
    full_terms, level_terms, all_pooled = [], [], []
    for part in _parts(len(first), micro_batch.global_views):
        with precision.autocast():
            pyramid = network.backbone(first[part])
            full, level = restorations(network, pyramid, views.target[part], levels.shared)
            share = len(first[part]) / len(first)
            restoration = share * (weights[0] * full + weights[1] * level)
            pull = _pull(pyramid, pooled, part)
        (precision.scale * restoration + pull).backward()
        full_terms.append(share * full.detach())
        level_terms.append(share * level.detach())
        with torch.no_grad():
            all_pooled.append(pool(pyramid, range(network.num_levels)))
        # Or they would live on beside those of the next views.
        del pyramid, full, level, restoration, pull
    return sum(full_terms), sum(level_terms), _joined(all_pooled)


def _detached(result: StepResult) -> StepResult:
    terms = result.terms
    return StepResult(
        PCRLv2Terms(
            terms.restoration.detach(),
            terms.level_restoration.detach(),
            terms.global_comparison.detach(),
            terms.local_comparison.detach(),
        ),
        result.projection_spreads,
        result.feature_spreads,
    )
