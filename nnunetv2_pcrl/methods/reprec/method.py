"""RepRec-style pretraining: images are told apart first, then masked representations recovered."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods import image_contrast
from nnunetv2_pcrl.methods.one_view_size import OnEncoder
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.reprec import showing
from nnunetv2_pcrl.methods.reprec.about import ABOUT
from nnunetv2_pcrl.methods.reprec.network import RepRecNetwork
from nnunetv2_pcrl.methods.reprec.objective import RepRecEvaluation, RepRecObjective
from nnunetv2_pcrl.methods.reprec.settings import RepRecSettings, defaults
from nnunetv2_pcrl.methods.reprec.views import DrawnViews, RepRecRecipe
from nnunetv2_pcrl.monitoring.vocabulary import Pictures, Shown
from nnunetv2_pcrl.networks.momentum import move, rising_momentum


class RepRec(OnEncoder[RepRecSettings, RepRecNetwork, DrawnViews]):
    """Contrast on the planned encoder, then recovery of hidden tokens of its bottleneck.

    The two parts follow one another within one training, so that the second begins with the
    encoder, the optimiser's state and the learning rate that the first leaves. Until then the
    teacher equals the encoder.

    Source: after the abstract of Yan et al. 2023 (RepRec), which is all that is public of it.
    """

    about = ABOUT
    Settings = RepRecSettings
    usual_optimizer = "adamw"

    @property
    def work_per_image(self) -> float:
        """Views pass the encoder with gradient, and once more without it: two, then one."""
        views = 1 + self.settings.contrastive_part
        return 4 / 3 * self.facts.parts.encoder * views * self.largest_view

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Views of the whole patch."""
        return defaults(facts, given)

    def remarks(self) -> dict[str, str]:
        """Too small a batch."""
        return image_contrast.remarks(self.settings)

    def recipe(self) -> RepRecRecipe:
        """Two views and a mask on the grid of the bottleneck."""
        facts = self.facts
        return RepRecRecipe(self.settings, facts.spacing, facts.total_stride, facts.known_means)

    def build(self, planned: nn.Module) -> RepRecNetwork:
        """The planned encoder with teacher, projector and transformer."""
        return RepRecNetwork(planned, self.settings)

    def recovers(self, progress: float) -> bool:
        """Whether so much of the training is done that masked representations are recovered."""
        return progress >= self.settings.contrastive_part

    def objective(
        self, network: RepRecNetwork, progress: float | None, generator: torch.Generator
    ) -> RepRecObjective:
        """Contrast or recovery; in the validation both, so that epochs can be compared."""
        temperature = self.settings.temperature
        if progress is None:
            both = {"contrast": 1.0, "recovery": 1.0}
            return RepRecEvaluation(both, temperature, self.num_levels)
        term = "recovery" if self.recovers(progress) else "contrast"
        return RepRecObjective({term: 1.0}, temperature, self.num_levels)

    def teacher_momentum(self, progress: float) -> float:
        """0 during the contrast, then from its setting to 1 by a half cosine."""
        if not self.recovers(progress):
            return 0.0
        part = self.settings.contrastive_part
        done = (progress - part) / (1 - part)
        return rising_momentum(self.settings.teacher_momentum, done)

    def after_update(self, network: RepRecNetwork, progress: float) -> None:
        """The teacher follows the encoder."""
        move(network.teacher, network.backbone, self.teacher_momentum(progress))

    def schedules(self, progress: float) -> dict[str, float]:
        """The teacher's momentum."""
        return {showing.MOMENTUM: self.teacher_momentum(progress)}

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Contrast and recovery relative to what a constant answer costs."""
        return showing.summarised(means, self.settings)

    def shown(self, num_levels: int) -> Shown:
        """Contrast, recovery and the state of the representation."""
        return showing.shown(num_levels, self.settings)

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """Of what is trained at the time: a collapse, chance, plateaus."""
        return showing.warnings(logged, self.num_levels, self.settings)

    def pictures(
        self, network: RepRecNetwork, drawn: DrawnViews, views: Mapping[str, Tensor]
    ) -> Pictures:
        """The masked view, and its map of representations as the teacher and the student say it."""
        return showing.pictures(network, drawn.must_vary[0], views)
