"""Which part of a planned network's arithmetic its encoder has, and the network without skips."""

import pytest
import torch
from flops import Flops
from planned_networks import ARCHITECTURES, GEOMETRIES, planned_network

from nnunetv2_pcrl.networks.arithmetic import parts_of
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet


def flops_of(module, views) -> int:
    with Flops() as flops, torch.no_grad():
        module(views)
    return flops.total


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_parts_are_those_that_torch_counts(architecture, geometry):
    planned = planned_network(architecture, geometry)
    views = torch.zeros(1, 1, *GEOMETRIES[geometry].global_size)
    whole = flops_of(planned, views)
    parts = parts_of(planned)
    # The layers that segment are not counted.
    assert parts.encoder == pytest.approx(flops_of(planned.encoder, views) / whole, rel=0.05)
    assert parts.non_skip == pytest.approx(flops_of(NonSkipUNet(planned), views) / whole, rel=0.05)


def test_a_network_without_memory_is_counted_too():
    with torch.device("meta"):
        planned = planned_network("ResidualEncoderUNet")
    assert parts_of(planned) == parts_of(planned_network("ResidualEncoderUNet"))
