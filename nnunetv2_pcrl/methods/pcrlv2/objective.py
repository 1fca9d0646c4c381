"""The loss of one PCRLv2 step at drawn levels, and what its validation watches besides."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.losses.restoration import in_units, restoration_error
from nnunetv2_pcrl.losses.similarity import feature_spread, projection_spread
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass, Pooled
from nnunetv2_pcrl.methods.pcrlv2.loss import (
    Embedding,
    Levels,
    comparison,
    local_comparison,
)
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.monitoring.representation import representation_numbers
from nnunetv2_pcrl.monitoring.vocabulary import of_level

# Terms by what they teach.
SIDES = {
    "restorations": ("restoration", "level_restoration"),
    "comparisons": ("global_comparison", "local_comparison"),
}


def loss_weights(restoration: float, beta: float, comparison: float) -> dict[str, float]:
    """Weights of the four terms: L = R_full + beta R_k + S_k(v0, v1) + 1/(2N) sum_n [...].

    Args:
        restoration: of both restorations.
        beta: of the restoration from the drawn level, besides.
        comparison: of both comparisons.

    Source: Zhou et al. 2023 (PCRLv2); there all are 1.
    """
    return {
        "restoration": restoration,
        "level_restoration": restoration * beta,
        "global_comparison": comparison,
        "local_comparison": comparison,
    }


@dataclass(frozen=True)
class PCRLv2Objective(Objective[PCRLv2Network]):
    """Restoration of v0, and comparison of v0, v1 and the local views, at drawn levels.

    The first global views, the second ones and all local views together are three populations of
    batch normalisation in the heads. Levels that nobody asks for are not computed.

    Attributes:
        levels: drawn by `draw_levels`.
        weights: by `loss_weights`.

    Source: Zhou et al. 2023 (PCRLv2).
    """

    levels: Levels
    weights: Mapping[str, float]

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The first global view last: its passes bring the restorations."""
        levels = self.levels
        return (
            Pass("second", "global_views", 1, levels.of_second_global),
            Pass("local", "local_views", levels=levels.of_local),
            Pass("first", "global_views", 0, levels.of_first_global, maps=True),
        )

    def of_views(
        self, network: PCRLv2Network, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """R_full and R_k, and the mean variance of the targets."""
        return self._restored(
            network, pyramid, in_units(batch["target"][0], network.restoration.stds)
        )

    def _restored(self, network: PCRLv2Network, pyramid: list[Tensor], target: Tensor) -> Numbers:
        shared = self.levels.shared
        full = network.restoration(pyramid[-1])
        drawn = network.level_restorations[shared](pyramid[shared])
        return {
            "restoration": restoration_error(full, target),
            "level_restoration": restoration_error(drawn, target),
            "target_variance": target.flatten(2).var(dim=2, unbiased=False).mean(),
        }

    def of_batch(self, network: PCRLv2Network, pooled: Pooled, tables: Batch) -> Numbers:
        """The two comparisons, and the spreads of v0 at its levels."""
        levels = self.levels
        first, second = (
            {level: _of_only_view(e) for level, e in _embedded(network, pooled[name]).items()}
            for name in ("first", "second")
        )
        local = _embedded(network, pooled["local"])
        numbers = {
            "global_comparison": comparison(first[levels.shared], second[levels.shared]),
            "local_comparison": local_comparison(first, second, local, levels),
        }
        for level, (projections, _) in first.items():
            numbers[of_level("z_std", level)] = projection_spread(projections)
            numbers[of_level("feature_spread", level)] = feature_spread(pooled["first"][level][0])
        return numbers


@dataclass(frozen=True)
class PCRLv2Evaluation(PCRLv2Objective):
    """The same, with restorations and state of the representation at every level.

    Attributes:
        num_levels: of the pyramid.
    """

    num_levels: int

    @property
    def passes(self) -> tuple[Pass, ...]:
        """All levels of all views."""
        every = frozenset(range(self.num_levels))
        return (
            Pass("second", "global_views", 1, every),
            Pass("local", "local_views", levels=every),
            Pass("first", "global_views", 0, every, maps=True),
        )

    def of_views(
        self, network: PCRLv2Network, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """Besides the terms, the squared errors of all restorations."""
        target = in_units(batch["target"][0], network.restoration.stds)
        numbers = self._restored(network, pyramid, target)
        numbers["restoration_error"] = numbers["restoration"]
        heads = zip(network.level_restorations, pyramid, strict=True)
        for level, (head, features) in enumerate(heads):
            error = restoration_error(head(features), target)
            numbers[of_level("restoration_error", level)] = error
        return numbers

    @torch.no_grad()
    def of_batch(self, network: PCRLv2Network, pooled: Pooled, tables: Batch) -> Numbers:
        """Besides the terms, how well the embeddings of every level tell images apart."""
        numbers = super().of_batch(network, pooled, tables)
        for level in range(self.num_levels):
            first, second, (_, queries) = (
                network.embed(level, pooled[name][level].flatten(0, 1))
                for name in ("first", "second", "local")
            )
            found = representation_numbers(first, second, queries)
            numbers |= {of_level(name, level): value for name, value in found.items()}
        return numbers


def _embedded(network: PCRLv2Network, pooled: Mapping[int, Tensor]) -> dict[int, Embedding]:
    """Projections and predictions of one population, each [V, B, F], by level."""
    embedded = {}
    for level, features in pooled.items():
        projection, prediction = network.embed(level, features.flatten(0, 1))
        views = features.shape[:2]
        embedded[level] = (
            torch.unflatten(projection, 0, views),
            torch.unflatten(prediction, 0, views),
        )
    return embedded


def _of_only_view(embedding: Embedding) -> Embedding:
    projections, predictions = embedding
    return projections[0], predictions[0]
