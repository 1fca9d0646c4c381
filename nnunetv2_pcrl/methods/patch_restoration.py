"""What methods share that restore one patch by the planned skip network."""

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

from nnunetv2_pcrl.methods.one_view_size import OneViewSize
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.settings import PatchSettings, patch_defaults
from nnunetv2_pcrl.monitoring.restoring import relative_error
from nnunetv2_pcrl.networks.restoration import RestorationNetwork
from nnunetv2_pcrl.views.drawn import Drawn

P = TypeVar("P", bound=PatchSettings)
D = TypeVar("D", bound=Drawn)


class PatchRestoration(OneViewSize[P, RestorationNetwork, D]):
    """A patch of the planned size, and its restoration on the full resolution."""

    usual_optimizer = "nesterov"

    @property
    def num_levels(self) -> int:
        """One per decoder stage."""
        return len(self.facts.strides) - 1

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The planned patch and batch."""
        return patch_defaults(facts)

    def build(self, planned: nn.Module) -> RestorationNetwork:
        """The planned network with a head for images in the place of labels."""
        return RestorationNetwork(planned, self.facts.num_channels)

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Adds the error in units of the targets' variance."""
        return relative_error(means)
