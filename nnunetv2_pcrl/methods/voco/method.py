"""VoCo: crops are placed in their volume, by contrast with a grid of base crops."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods.method import Variant
from nnunetv2_pcrl.methods.one_view_size import OnEncoder
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.voco import showing
from nnunetv2_pcrl.methods.voco.about import ABOUT
from nnunetv2_pcrl.methods.voco.network import VoCoNetwork
from nnunetv2_pcrl.methods.voco.objective import (
    FeatureDropout,
    VoCoEvaluation,
    VoCoObjective,
)
from nnunetv2_pcrl.methods.voco.settings import VoCoSettings, cvpr_settings, defaults
from nnunetv2_pcrl.methods.voco.views import DrawnCrops, VoCoRecipe
from nnunetv2_pcrl.monitoring.vocabulary import Pictures, Shown
from nnunetv2_pcrl.views.seeding import integer


class VoCo(OnEncoder[VoCoSettings, VoCoNetwork, DrawnCrops]):
    """Geometric context of crops, on the planned encoder.

    Source: Wu et al. 2024 and 2025 (VoCo).
    """

    about = ABOUT
    Settings = VoCoSettings
    usual_optimizer = "adamw"
    variants = {
        "cvpr": Variant(
            cvpr_settings,
            "the conference's form: a whole network as teacher, a grid of 4, no inter term",
            is_default=True,
        )
    }

    def __init__(self, settings: VoCoSettings, facts: PlanFacts):
        super().__init__(settings, facts)
        for name in ("grid", "cell_size"):
            value = getattr(settings, name)
            if len(value) != facts.num_axes:
                raise ValueError(
                    f'"{name}" must be {facts.num_axes} positive integers, got {list(value)}'
                )

    @property
    def work_per_image(self) -> float:
        """All crops pass the encoder with gradient, and once without; in "cvpr" form twice."""
        crops = self.settings.num_bases + self.settings.num_queries
        passes = 5 / 3 if self.settings.form == "cvpr" else 4 / 3
        return passes * self.facts.parts.encoder * crops * self.largest_view

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Grid, sizes and batch."""
        return defaults(facts)

    def remarks(self) -> dict[str, str]:
        """Images that may lie differently."""
        return showing.orientation_remark(self.facts.reader, self.settings)

    def recipe(self) -> VoCoRecipe:
        """A grid of base crops, and queries in it."""
        return VoCoRecipe(self.settings, self.facts.spacing)

    def build(self, planned: nn.Module) -> VoCoNetwork:
        """The planned encoder with a projector and its teacher."""
        return VoCoNetwork(planned, self.settings)

    def objective(
        self, network: VoCoNetwork, progress: float | None, generator: torch.Generator
    ) -> VoCoObjective:
        """The loss with drawn dropout of features; without it in the validation."""
        settings = self.settings
        weights = {
            "intra": settings.intra_weight,
            "inter": settings.inter_weight,
            "regulariser": settings.regulariser_weight,
        }
        if progress is None:
            return self._evaluation(weights)
        dropout = None
        if settings.feature_dropout:
            dropout = FeatureDropout(settings.feature_dropout, integer(0, 2**31 - 1, generator))
        return VoCoObjective(settings.form, weights, self.num_levels, dropout)

    def _evaluation(self, weights: Mapping[str, float]) -> VoCoEvaluation:
        return VoCoEvaluation(self.settings.form, weights, self.num_levels)

    def after_update(self, network: VoCoNetwork, progress: float) -> None:
        """The teacher follows."""
        network.move_teacher(self.settings.teacher_momentum)

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Adds the intra term relative to that of a constant similarity."""
        return showing.summarised(means)

    def shown(self, num_levels: int) -> Shown:
        """Terms of the loss, placed queries, and the state of features."""
        return showing.shown(num_levels, self.settings)

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """A collapse, or a plateau."""
        return showing.warnings(logged, self.num_levels, self.settings)

    def pictures(
        self, network: VoCoNetwork, drawn: DrawnCrops, views: Mapping[str, Tensor]
    ) -> Pictures:
        """The first query, base crops, and true and predicted overlaps."""
        return showing.pictures(network, self._evaluation({}), drawn, views)
