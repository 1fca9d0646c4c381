"""The exact gradient of a loss that compares a whole batch, in the memory of a few views.

A loss has two kinds of terms. Terms of views are means over images of what is computed from feature
maps (restorations). Terms of the batch are functions of pooled features alone (comparisons), and
may bring all images together. Where a backbone keeps the images of a pass apart,

1. every view whose pooled features are compared passes without gradient, a few at a time;
2. the terms of the batch are computed from the pooled features and differentiated, down to them;
3. every view passes with gradient, a few at a time; the gradients of its pooled features are handed
   on into the backbone, together with its terms of views.

Source: Gao et al. 2021 (GradCache), here for every level of a pyramid and any populations of views.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass
from nnunetv2_pcrl.networks.heads import global_average_pool
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.micro_batch import MicroBatch, slices

# Pooled features of the passes by name and level.
_Features = dict[str, dict[int, Tensor]]


@dataclass(frozen=True)
class Precision:
    """Mixed precision of a step.

    Attributes:
        autocast: gives the context of passes. Terms of the batch are computed outside of it: their
            heads see a row per view, and half precision would cost more there than it saves.
        scale: factor of the loss before it is differentiated.
    """

    autocast: Callable[[], AbstractContextManager] = nullcontext
    scale: float | Tensor = 1.0


def accumulate_gradients(
    network: nn.Module,
    batch: Batch,
    objective: Objective,
    micro_batch: MicroBatch | None,
    precision: Precision | None = None,
    joint: JointBatch | None = None,
) -> Numbers:
    """Adds the gradient of the scaled loss to every parameter that the step uses.

    Where several processes share the batch, their mean gradient is that of the whole batch.

    Args:
        network: backbones and heads; only backbones that do not couple images may be given a
            micro-batch.
        batch: views of this process's images.
        objective: of the step.
        micro_batch: what passes at a time; None for everything at once.
        precision: mixed precision; none by default.
        joint: how the images of the batch are shared; by default all of them are in `batch`.

    Returns:
        The numbers without gradient. Terms of the batch are those of the whole batch; terms of
        views are this process's part, whose mean over the processes is the whole.
    """
    step = _Step(network, batch, objective, precision or Precision(), joint or _alone(batch))
    if micro_batch is None or step.is_held_by(micro_batch):
        numbers = step.at_once(micro_batch=None)
        loss = weighted(numbers, objective.weights)
        if torch.is_tensor(loss) and loss.requires_grad:
            (step.precision.scale * loss).backward()
        return _detached(numbers)
    pooled = step.pooled(micro_batch)
    numbers = step.differentiate_terms_of_batch(pooled) if pooled else {}
    for each in objective.passes:
        gradients = {
            level: features.grad
            for level, features in pooled.get(each.name, {}).items()
            # A gradient of zeros is handed on too: other processes may have another one, and all of
            # them must use the same parameters.
            if features.grad is not None
        }
        if each.maps:
            numbers |= step.differentiate_terms_of_views(each, gradients, micro_batch)
        elif gradients:
            step.hand_on(each, gradients, micro_batch)
    return numbers


@torch.no_grad()
def evaluate(
    network: nn.Module,
    batch: Batch,
    objective: Objective,
    micro_batch: MicroBatch | None,
    precision: Precision | None = None,
    joint: JointBatch | None = None,
) -> Numbers:
    """The numbers of a batch without gradient; otherwise as `accumulate_gradients`."""
    step = _Step(network, batch, objective, precision or Precision(), joint or _alone(batch))
    return step.at_once(micro_batch)


def weighted(numbers: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor | float:
    """The loss: terms times their weights; what has no weight is not in it."""
    return sum(weights[name] * value for name, value in numbers.items() if weights.get(name))


@dataclass(frozen=True)
class _Step:
    """One step's network, batch and loss."""

    network: nn.Module
    batch: Batch
    objective: Objective
    precision: Precision
    joint: JointBatch

    def is_held_by(self, micro_batch: MicroBatch) -> bool:
        """True if the views of every pass are no more than a micro-batch, nor those of all passes
        together that learn: their graphs would be held at the same time.
        """
        learning = 0.0
        for each in self.objective.passes:
            views = each.of(self.batch)
            part = views.shape[0] * views.shape[1] / micro_batch.views_of(views.shape[2:])
            learning += part if self._learns(each) else 0.0
            if max(part, learning) > 1 + 1e-9:
                return False
        return True

    def at_once(self, micro_batch: MicroBatch | None) -> Numbers:
        """All numbers, with every view passed once."""
        numbers: Numbers = {}
        pooled: _Features = {}
        for each in self.objective.passes:
            if not each.maps:
                pooled[each.name] = self._pooled_of(each, micro_batch)
                continue
            parts = []
            for part in self._images(each, micro_batch):
                pyramid, found = self._terms_of_views(each, part)
                parts.append(self._pool(each, pyramid))
                _add(numbers, found, self._share(part))
            if each.levels:
                pooled[each.name] = _joined(parts)
        return numbers | (self._terms_of_batch(pooled) if pooled else {})

    def pooled(self, micro_batch: MicroBatch) -> _Features:
        """Pooled features of all passes that have levels; what learns asks for a gradient."""
        pooled = {}
        for each in self.objective.passes:
            if each.levels:
                with torch.no_grad():
                    pooled[each.name] = self._pooled_of(each, micro_batch)
                for features in pooled[each.name].values():
                    features.requires_grad_(self._learns(each))
        return pooled

    def differentiate_terms_of_batch(self, pooled: _Features) -> Numbers:
        """Terms of the batch; their gradients reach heads and pooled features, scaled."""
        numbers = self._terms_of_batch(pooled)
        loss = weighted(numbers, self.objective.weights)
        if torch.is_tensor(loss) and loss.requires_grad:
            (self.precision.scale * loss).backward()
        return _detached(numbers)

    def differentiate_terms_of_views(
        self, each: Pass, gradients: Mapping[int, Tensor], micro_batch: MicroBatch
    ) -> Numbers:
        """Passes views with gradient: their own terms, and their part of those of the batch."""
        numbers: Numbers = {}
        for part in self._images(each, micro_batch):
            pyramid, found = self._terms_of_views(each, part)
            share = self._share(part)
            loss = self.precision.scale * share * weighted(found, self.objective.weights)
            for level, gradient in gradients.items():
                pooled = self._pool_level(pyramid[level], gradient.shape[0])
                # Scaled already.
                loss = loss + (pooled * gradient[:, part]).sum()
            if torch.is_tensor(loss) and loss.requires_grad:
                loss.backward()
            _add(numbers, _detached(found), share)
            # Or they would live on beside those of the next views.
            del pyramid, found, loss
        return numbers

    def hand_on(self, each: Pass, gradients: Mapping[int, Tensor], micro_batch: MicroBatch) -> None:
        """Passes views that are compared only, with the gradients of their pooled features."""
        views = each.of(self.batch).flatten(0, 1)
        rows = {level: gradient.flatten(0, 1) for level, gradient in gradients.items()}
        for part in slices(len(views), micro_batch.views_of(views.shape[1:])):
            with self.precision.autocast():
                pyramid = self._backbone(each)(views[part], max(rows))
            first, *others = (
                (global_average_pool(pyramid[level]) * row[part]).sum()
                for level, row in rows.items()
            )
            pull = sum(others, start=first)
            pull.backward()
            # Or they would live on beside those of the next views.
            del pyramid, first, others, pull

    def _pooled_of(self, each: Pass, micro_batch: MicroBatch | None) -> dict[int, Tensor]:
        """Pooled features of a pass without terms of views, or before them, each [V, B, C]."""
        shape = each.of(self.batch).shape
        views = each.of(self.batch).flatten(0, 1)
        size = len(views) if micro_batch is None else micro_batch.views_of(shape[2:])
        parts = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._learns(each)):
            for part in slices(len(views), size):
                with self.precision.autocast():
                    pyramid = self._backbone(each)(views[part], max(each.levels))
                parts.append({k: global_average_pool(pyramid[k]) for k in sorted(each.levels)})
                del pyramid
        return {
            level: torch.cat([part[level] for part in parts]).unflatten(0, shape[:2])
            for level in parts[0]
        }

    def _terms_of_views(self, each: Pass, part: slice) -> tuple[list[Tensor], Numbers]:
        """Feature maps of the views of some images, and the terms that are made of them."""
        batch = {name: values[:, part] for name, values in self.batch.items()}
        with self.precision.autocast():
            pyramid = self._backbone(each)(each.of(batch).flatten(0, 1))
            return pyramid, self.objective.of_views(self.network, each.name, pyramid, batch)

    def _terms_of_batch(self, pooled: _Features) -> Numbers:
        """Terms of the batch from the pooled features of all processes."""
        keys = [(name, level) for name in pooled for level in sorted(pooled[name])]
        received = iter(self.joint.gather([pooled[name][level] for name, level in keys]))
        gathered: _Features = {name: {} for name in pooled}
        for name, level in keys:
            gathered[name][level] = next(received)
        names = self.objective.tables
        tables = self.joint.gather([self.batch[name] for name in names]) if names else []
        by_name = dict(zip(names, tables, strict=True))
        return self.objective.of_batch(self.network, gathered, by_name)

    def _backbone(self, each: Pass) -> nn.Module:
        return getattr(self.network, each.backbone)

    def _learns(self, each: Pass) -> bool:
        return any(parameter.requires_grad for parameter in self._backbone(each).parameters())

    def _images(self, each: Pass, micro_batch: MicroBatch | None) -> Iterator[slice]:
        """Images whose views pass together, all views of an image at a time."""
        views = each.of(self.batch)
        num_images = views.shape[1]
        if micro_batch is None:
            return slices(num_images, num_images)
        return slices(num_images, max(1, micro_batch.views_of(views.shape[2:]) // len(views)))

    def _share(self, part: slice) -> float:
        """Part of the batch's mean that some of this process's images are."""
        num_images = next(iter(self.batch.values())).shape[1]
        return self.joint.weight * len(range(*part.indices(num_images))) / num_images

    def _pool(self, each: Pass, pyramid: list[Tensor]) -> dict[int, Tensor]:
        num_views = len(each.of(self.batch))
        return {k: self._pool_level(pyramid[k], num_views) for k in sorted(each.levels)}

    @staticmethod
    def _pool_level(features: Tensor, num_views: int) -> Tensor:
        return global_average_pool(features).unflatten(0, (num_views, -1))


def _alone(batch: Batch) -> JointBatch:
    return JointBatch(next(iter(batch.values())).shape[1])


def _joined(parts: list[dict[int, Tensor]]) -> dict[int, Tensor]:
    return {level: torch.cat([part[level] for part in parts], dim=1) for level in parts[0]}


def _add(numbers: Numbers, found: Numbers, share: float) -> None:
    for name, value in found.items():
        numbers[name] = numbers.get(name, 0) + share * value


def _detached(numbers: Numbers) -> Numbers:
    return {name: value.detach() for name, value in numbers.items()}
