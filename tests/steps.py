"""PCRLv2's steps on small networks in float64, to be compared with the naive step."""

import copy
from dataclasses import dataclass

import torch
from naive_step import gradients, naive_loss, naive_numbers, random_batch
from planned_networks import GEOMETRIES, planned_network
from torch import nn

from nnunetv2_pcrl.methods.pcrlv2.loss import Levels
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.objective import PCRLv2Objective, loss_weights
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet
from nnunetv2_pcrl.training.gradient_cache import accumulate_gradients
from nnunetv2_pcrl.training.micro_batch import MicroBatch

BATCH_SIZE, NUM_LOCAL = 5, 6
WEIGHTS = loss_weights(1.0, 0.7, 1.0)


@dataclass(frozen=True)
class Case:
    network: PCRLv2Network
    views: dict[str, torch.Tensor]


def make_case(architecture: str, geometry: str) -> Case:
    torch.manual_seed(0)
    sizes = GEOMETRIES[geometry]
    network = PCRLv2Network(NonSkipUNet(planned_network(architecture, geometry)), 1).double()
    # Fresh residual blocks end in a zero, which would hide half of the network.
    for module in network.modules():
        if isinstance(module, nn.modules.instancenorm._InstanceNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    shapes = {
        "target": (1, BATCH_SIZE, 1, *sizes.global_size),
        "global_views": (2, BATCH_SIZE, 1, *sizes.global_size),
        "local_views": (NUM_LOCAL, BATCH_SIZE, 1, *sizes.local_size),
    }
    return Case(network, random_batch(shapes))


def micro_batch_of(case: Case, global_views: int) -> MicroBatch:
    """So many global views at a time, and of local ones as many as have the same voxels."""
    return MicroBatch(global_views * case.views["target"][0, 0, 0].numel())


def naive(case: Case, levels: Levels, weights=WEIGHTS):
    network = copy.deepcopy(case.network)
    objective = PCRLv2Objective(levels, weights)
    numbers = naive_numbers(network, case.views, objective)
    loss = naive_loss(numbers, objective)
    if loss.requires_grad:
        loss.backward()
    return {name: float(value.detach()) for name, value in numbers.items()}, gradients(network)


def cached(case: Case, levels: Levels, micro_batch: MicroBatch | None, weights=WEIGHTS, **kwargs):
    network = copy.deepcopy(case.network)
    numbers = accumulate_gradients(
        network, case.views, PCRLv2Objective(levels, weights), micro_batch, **kwargs
    )
    return {name: float(value.detach()) for name, value in numbers.items()}, gradients(network)


def all_draws(num_levels: int) -> list[Levels]:
    """Every shared level, each with local levels that together cover all pairs."""
    pairs = [(a, b) for a in range(num_levels) for b in range(num_levels)]
    pairs += pairs[: -len(pairs) % NUM_LOCAL]
    groups = [tuple(pairs[i : i + NUM_LOCAL]) for i in range(0, len(pairs), NUM_LOCAL)]
    return [Levels(k, groups[k % len(groups)]) for k in range(num_levels)] + [
        Levels(0, ((0, 0),) * NUM_LOCAL)
    ]
