"""Steps on small networks in float64, to be compared with the naive single-pass step."""

import copy
from dataclasses import dataclass

import torch
from planned_networks import GEOMETRIES, planned_network
from torch import nn

from nnunetv2_pcrl.methods.pcrlv2.loss import Levels, LossWeights
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet
from nnunetv2_pcrl.training.step import ViewBatch, pcrlv2_step
from nnunetv2_pcrl.training.two_pass import MicroBatch, accumulate_gradients

BATCH_SIZE, NUM_LOCAL = 5, 6
WEIGHTS = LossWeights(level_restoration=0.7)


@dataclass(frozen=True)
class Case:
    network: PCRLv2Network
    views: ViewBatch


def make_case(architecture: str, geometry: str) -> Case:
    torch.manual_seed(0)
    sizes = GEOMETRIES[geometry]
    network = PCRLv2Network(NonSkipUNet(planned_network(architecture, geometry)), 1).double()
    # Fresh residual blocks end in a zero, which would hide half of the network.
    for module in network.modules():
        if isinstance(module, nn.modules.instancenorm._InstanceNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    views = ViewBatch(
        target=torch.randn(BATCH_SIZE, 1, *sizes.global_size, dtype=torch.float64),
        global_views=torch.randn(2, BATCH_SIZE, 1, *sizes.global_size, dtype=torch.float64),
        local_views=torch.randn(NUM_LOCAL, BATCH_SIZE, 1, *sizes.local_size, dtype=torch.float64),
    )
    return Case(network, views)


def gradients(network) -> dict[str, torch.Tensor | None]:
    return {name: p.grad for name, p in network.named_parameters()}


def naive(case: Case, levels: Levels, weights: LossWeights = WEIGHTS):
    network = copy.deepcopy(case.network)
    result = pcrlv2_step(network, case.views, levels)
    result.terms.total(weights).backward()
    return result, gradients(network)


def two_pass(
    case: Case,
    levels: Levels,
    micro_batch: MicroBatch,
    weights: LossWeights = WEIGHTS,
    **kwargs,
):
    network = copy.deepcopy(case.network)
    result = accumulate_gradients(network, case.views, levels, weights, micro_batch, **kwargs)
    return result, gradients(network)


def assert_equal_gradients(ours, expected, tolerance=1e-9) -> None:
    largest = max(g.abs().max() for g in expected.values() if g is not None)
    for name, gradient in expected.items():
        if gradient is None:
            assert ours[name] is None, name
        else:
            error = (ours[name] - gradient).abs().max()
            assert error <= tolerance * max(gradient.abs().max(), 1e-3 * largest), name


def all_draws(num_levels: int) -> list[Levels]:
    """Every shared level, each with local levels that together cover all pairs."""
    pairs = [(a, b) for a in range(num_levels) for b in range(num_levels)]
    pairs += pairs[: -len(pairs) % NUM_LOCAL]
    groups = [tuple(pairs[i : i + NUM_LOCAL]) for i in range(0, len(pairs), NUM_LOCAL)]
    return [Levels(k, groups[k % len(groups)]) for k in range(num_levels)] + [
        Levels(0, ((0, 0),) * NUM_LOCAL)
    ]
