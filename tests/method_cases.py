"""Every method of the registry on small plans: what the contract test runs over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from planned_networks import GEOMETRIES, planned_network, shaken
from torch import Tensor, nn

from nnunetv2_pcrl.methods.mae.method import MAE
from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.registry import METHODS
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.seeding import seeded_generator

BATCH_SIZE = 4
PATCHES = {"2d": (32, 32), "3d": (16, 16, 16), "anisotropic": (8, 16, 16)}


@dataclass(frozen=True)
class MethodCase:
    """A method on a plan, its network in double precision, and a batch of its views of noise."""

    method: Method
    network: nn.Module
    batch: dict[str, Tensor]


class DensifiedMAE(MAE):
    """The variant whose network is another one, as a method of its own."""

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**super().defaults(facts, given), "densified": True}


# Every method that has a network of its own.
EVERY_METHOD = (*METHODS, DensifiedMAE)


def facts_of(geometry: str, num_channels: int = 1) -> PlanFacts:
    plan = GEOMETRIES[geometry]
    patch = PATCHES[geometry]
    spacing = (5.0, 1.0, 1.0) if geometry == "anisotropic" else (1.0,) * len(patch)
    strides = tuple(map(tuple, plan.strides))
    schemes = ("ZScoreNormalization",) * num_channels
    return PlanFacts(patch, 2, spacing, strides, num_channels, schemes)


# Wide projectors take most of the time of a tiny step.
NARROW = {"hidden_size": 16, "embedding_size": 16, "predictor_width": 32, "queue_size": 16}


def method_on(kind: type[Method], facts: PlanFacts, **settings) -> Method:
    narrow = {name: value for name, value in NARROW.items() if name in kind.Settings.names()}
    given = {"batch_size": BATCH_SIZE, **narrow, **settings}
    return kind(settings_for(kind, facts, given), facts)


def image_of(facts: PlanFacts, number: int = 0) -> Tensor:
    """Smooth noise, somewhat larger than the patch."""
    size = [s + s // 2 for s in facts.patch_size]
    generator = seeded_generator(7, number)
    low = torch.randn(1, facts.num_channels, *(max(2, s // 4) for s in size), generator=generator)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return nn.functional.interpolate(low, size=size, mode=mode)[0]


def batch_of(method: Method) -> dict[str, Tensor]:
    """A batch of views, in double precision."""
    made: dict[str, list[Tensor]] = {}
    for number in range(method.settings.batch_size):
        image = image_of(method.facts, number)
        drawn = method.recipe().draw(
            image.shape[1:], Channels.unmeasured(len(image)), seeded_generator(3, number)
        )
        region = image[(slice(None), *drawn.region.slices)]
        for name, values in drawn.prepared().make(region).items():
            made.setdefault(name, []).append(values)
    batch = {name: torch.stack(values, dim=1) for name, values in made.items()}
    return {n: v.double() if v.is_floating_point() else v for n, v in batch.items()}


def case_of(
    kind: type[Method],
    geometry: str,
    architecture: str = "PlainConvUNet",
    num_channels: int = 1,
    **settings,
) -> MethodCase:
    """A method's case; every parameter is shaken, so that no gradient is zero by chance."""
    method = method_on(kind, facts_of(geometry, num_channels), **settings)
    planned = planned_network(architecture, geometry, num_channels)
    torch.manual_seed(0)
    network = shaken(method.build(planned)).double()
    return MethodCase(method, network, batch_of(method))


def objective_of(case: MethodCase, progress: float | None = 0.25, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return case.method.objective(case.network, progress, generator)
