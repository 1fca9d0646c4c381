"""What methods share whose views all have one size, that of the setting `view_size`."""

import math
from typing import TypeVar

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.plan_facts import PlanFacts, check_view_size
from nnunetv2_pcrl.methods.settings import ViewSettings
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.views.drawn import Drawn

V = TypeVar("V", bound=ViewSettings)
N = TypeVar("N", bound=PretrainingNetwork)
D = TypeVar("D", bound=Drawn)


class OneViewSize(Method[V, N, D]):
    """Refuses a `view_size` that the planned network cannot take."""

    def __init__(self, settings: V, facts: PlanFacts):
        super().__init__(settings, facts)
        check_view_size("view_size", settings.view_size, facts)

    @property
    def largest_view(self) -> int:
        """Voxels of a view."""
        return math.prod(self.settings.view_size)


class OnEncoder(OneViewSize[V, N, D]):
    """The backbone is the planned encoder, and every one of its stages a level."""

    @property
    def num_levels(self) -> int:
        """One per encoder stage."""
        return len(self.facts.strides)
