"""PCRLv2: pixels are restored, images compared, scales mixed."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.pcrlv2 import showing
from nnunetv2_pcrl.methods.pcrlv2.about import ABOUT
from nnunetv2_pcrl.methods.pcrlv2.loss import draw_levels, level_restoration_weight
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.objective import (
    SIDES,
    PCRLv2Evaluation,
    PCRLv2Objective,
    loss_weights,
)
from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings, defaults
from nnunetv2_pcrl.methods.pcrlv2.variants import VARIANTS
from nnunetv2_pcrl.methods.pcrlv2.views import DrawnViews, PCRLv2Recipe
from nnunetv2_pcrl.methods.plan_facts import PlanFacts, check_view_size
from nnunetv2_pcrl.monitoring.vocabulary import Pictures, Shown
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet


class PCRLv2(Method[PCRLv2Settings, PCRLv2Network, DrawnViews]):
    """Restoration and comparison of views on a non-skip U-Net, at levels drawn at random.

    Source: Zhou et al. 2023 (PCRLv2).
    """

    about = ABOUT
    Settings = PCRLv2Settings
    variants = VARIANTS
    sides = SIDES

    def __init__(self, settings: PCRLv2Settings, facts: PlanFacts):
        super().__init__(settings, facts)
        check_view_size("global_size", settings.global_size, facts)
        check_view_size("local_size", settings.local_size, facts)

    @property
    def largest_view(self) -> int:
        """Voxels of a global view."""
        return math.prod(self.settings.global_size)

    @property
    def voxels_per_image(self) -> int:
        """Voxels of the restoration target, two global and all local views."""
        local = self.settings.num_local * math.prod(self.settings.local_size)
        return 3 * self.largest_view + local

    @property
    def work_per_image(self) -> float:
        """Two global and all local views, which pass once without gradient and once with it."""
        local = self.settings.num_local * math.prod(self.settings.local_size)
        return 4 / 3 * self.facts.parts.non_skip * (2 * self.largest_view + local)

    @property
    def num_levels(self) -> int:
        """One per decoder stage."""
        return len(self.facts.strides) - 1

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """View sizes from the patch, and the authors' setting for 2D."""
        return defaults(facts, given)

    def remarks(self) -> dict[str, str]:
        """What the loss leaves out; too small a batch."""
        settings = self.settings
        weights = {
            "restoration": settings.restoration_weight,
            "comparison": settings.comparison_weight,
        }
        left_out = [term for term, weight in weights.items() if not weight]
        remarks = {
            f"without {term}": f"PCRLv2 without {term}: its terms are logged, and are not in the "
            f"loss"
            for term in left_out
        }
        small = showing.small_batch_warning(settings)
        return remarks | {kind: f"WARNING: {text}" for kind, text in small.items()}

    def recipe(self) -> PCRLv2Recipe:
        """Two global and some local views."""
        return PCRLv2Recipe(self.settings, self.facts.spacing)

    def build(self, planned: nn.Module) -> PCRLv2Network:
        """The non-skip variant with heads on every level."""
        return PCRLv2Network(
            NonSkipUNet(planned), self.facts.num_channels, self.settings.restoration_heads
        )

    def objective(
        self, network: PCRLv2Network, progress: float | None, generator: torch.Generator
    ) -> PCRLv2Objective:
        """The loss at drawn levels; in the validation beta is 1, so that epochs can be compared."""
        settings, num_levels = self.settings, network.num_levels
        levels = draw_levels(num_levels, settings.num_local, generator, settings.shared_level)
        beta = 1.0 if progress is None else level_restoration_weight(progress)
        weights = loss_weights(settings.restoration_weight, beta, settings.comparison_weight)
        if progress is None:
            return PCRLv2Evaluation(levels, weights, num_levels)
        return PCRLv2Objective(levels, weights)

    def schedules(self, progress: float) -> dict[str, float]:
        """Beta."""
        return {"level_restoration_weight": level_restoration_weight(progress)}

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Restoration errors in units of the targets' variance."""
        variance = max(means.get("target_variance", 0.0), 1e-12)
        return {
            name: value / variance if name.startswith("restoration_error") else value
            for name, value in means.items()
        }

    def shown(self, num_levels: int) -> Shown:
        """Loss terms, restoration errors and the state of every level."""
        return showing.shown(num_levels, self.settings)

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """Of what the loss trains: a collapse, a small batch, restorations stuck at the mean."""
        return showing.warnings(logged, self.num_levels, self.settings)

    def pictures(
        self, network: PCRLv2Network, drawn: DrawnViews, views: Mapping[str, Tensor]
    ) -> Pictures | None:
        """Restorations of the first global view from every level, if the loss trains them."""
        if not self.settings.restoration_weight:
            return None
        return showing.pictures(
            network, drawn.must_vary[0], views["global_views"][0], views["target"][0]
        )
