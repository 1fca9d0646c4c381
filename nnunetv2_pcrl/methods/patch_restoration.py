"""What methods share that restore one patch by the planned skip network."""

from collections.abc import Mapping
from typing import Any, TypeVar

from nnunetv2_pcrl.methods.one_view_size import OneViewSize
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.settings import PatchSettings, patch_defaults
from nnunetv2_pcrl.monitoring.restoring import relative_error
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.views.drawn import Drawn

P = TypeVar("P", bound=PatchSettings)
N = TypeVar("N", bound=PretrainingNetwork)
D = TypeVar("D", bound=Drawn)


class PatchRestoration(OneViewSize[P, N, D]):
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

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Adds the error in units of the targets' variance."""
        return relative_error(means)
