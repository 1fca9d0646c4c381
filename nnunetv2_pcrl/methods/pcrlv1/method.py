"""PCRLv1: images are compared with a queue of keys, and restored from features of two networks."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods.one_view_size import OnEncoder
from nnunetv2_pcrl.methods.pcrlv1 import showing
from nnunetv2_pcrl.methods.pcrlv1.about import ABOUT
from nnunetv2_pcrl.methods.pcrlv1.network import PCRLv1Network
from nnunetv2_pcrl.methods.pcrlv1.objective import PCRLv1Evaluation, PCRLv1Objective
from nnunetv2_pcrl.methods.pcrlv1.settings import PCRLv1Settings, defaults
from nnunetv2_pcrl.methods.pcrlv1.views import QUARTER_TURNS, DrawnViews, PCRLv1Recipe
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.monitoring.vocabulary import Pictures, Shown
from nnunetv2_pcrl.networks.momentum import move, rising_momentum


class PCRLv1(OnEncoder[PCRLv1Settings, PCRLv1Network, DrawnViews]):
    """Contrast and restoration with a teacher, on the planned skip network.

    Source: Zhou et al. 2021 (PCRLv1).
    """

    about = ABOUT
    Settings = PCRLv1Settings
    # The contrast's gradient is a hundred times that of the restorations.
    usual_optimizer = "adamw"
    sides: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "restorations": ("restoration", "mixed_restoration"),
        "the contrast": ("contrast",),
    }

    @property
    def work_per_image(self) -> float:
        """The student restores twice; it and the teacher see each view without gradient too."""
        # With gradient an encoder and two decoders; without it three encoders, which count as one.
        return 2 * self.largest_view

    @property
    def is_square(self) -> bool:
        """Whether a quarter turn in the plane of the last two axes keeps size and spacing."""
        size, spacing = self.settings.view_size, self.facts.spacing
        return size[-2] == size[-1] and math.isclose(spacing[-2], spacing[-1], rel_tol=1e-3)

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Views of 3/4 of the patch."""
        return defaults(facts, given)

    def recipe(self) -> PCRLv1Recipe:
        """Two views, distorted, and the transforms that they are restored under."""
        return PCRLv1Recipe(self.settings, self.facts.spacing, self.is_square)

    def build(self, planned: nn.Module) -> PCRLv1Network:
        """The planned network with a teacher of its encoder, gate, heads and queue."""
        num_bits = self.facts.num_axes + (QUARTER_TURNS if self.is_square else 0)
        return PCRLv1Network(planned, self.facts.num_channels, num_bits, self.settings)

    def objective(
        self, network: PCRLv1Network, progress: float | None, generator: torch.Generator
    ) -> PCRLv1Objective:
        """Nothing in it is drawn; the validation leaves the queue as it is."""
        settings = self.settings
        weights = {
            "contrast": settings.contrast_weight,
            "restoration": settings.restoration_weight / 2,
            "mixed_restoration": settings.restoration_weight / 2,
        }
        kind = PCRLv1Evaluation if progress is None else PCRLv1Objective
        return kind(weights, settings.temperature, self.num_levels)

    def teacher_momentum(self, progress: float) -> float:
        """From its setting to 1."""
        return rising_momentum(self.settings.teacher_momentum, progress)

    def after_update(self, network: PCRLv1Network, progress: float) -> None:
        """The step's keys go into the queue, and the teacher follows the student."""
        network.queue.advance()
        momentum = self.teacher_momentum(progress)
        teacher, student = (n.get_submodule("encoder") for n in (network.teacher, network.backbone))
        move(teacher, student, momentum)
        move(network.teacher_projection, network.projection, momentum)

    def schedules(self, progress: float) -> dict[str, float]:
        """The teacher's momentum."""
        return {showing.MOMENTUM: self.teacher_momentum(progress)}

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Contrast and restoration relative to what a constant answer costs."""
        return showing.summarised(means)

    def shown(self, num_levels: int) -> Shown:
        """Contrast, restorations and the state of the representation."""
        return showing.shown(num_levels, self.settings)

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """Of what the loss trains: a collapse, chance, plateaus, restorations stuck at the mean."""
        return showing.warnings(logged, self.num_levels, self.settings)

    def pictures(
        self, network: PCRLv1Network, drawn: DrawnViews, views: Mapping[str, Tensor]
    ) -> Pictures:
        """What the network saw, and its restorations of one view and of a mixture of both."""
        return showing.pictures(network, drawn.must_vary[0], views)
