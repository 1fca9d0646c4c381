"""For which data set and plans a network was planned: said by its plans, and so by its weights."""

from collections.abc import Mapping
from typing import Any

PLANNED_FOR = "planned_for"


def planned_for(plans: Mapping[str, Any]) -> dict[str, str]:
    """`dataset_name` and `plans_name` of the network's origin; plans of nnU-Net are their own."""
    own = {name: plans[name] for name in ("dataset_name", "plans_name")}
    return dict(plans.get(PLANNED_FOR, own))
