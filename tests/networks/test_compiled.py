"""Backbones whose stages torch compiles: the same features, names and copies, few graphs."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import _inductor as inductor
from torch import nn
from torch._dynamo.utils import counters

from nnunetv2_pcrl.methods.mae.network import MAENetwork
from nnunetv2_pcrl.networks.compiled import compile_stages, stages_of
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.momentum import copy_without_gradient
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet
from nnunetv2_pcrl.networks.skip import SkipUNet

pytestmark = pytest.mark.usefixtures("one_thread")


class CountedGraphs:
    """A backend of torch.compile that runs graphs as they are."""

    def __init__(self):
        self.number = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list) -> Callable:
        self.number += 1
        return graph.forward


def planned(architecture: type[nn.Module] = PlainConvUNet, **changes) -> nn.Module:
    torch.manual_seed(0)
    is_plain = architecture is PlainConvUNet
    arguments = {
        "input_channels": 1,
        "n_stages": 3,
        "features_per_stage": [4, 8, 8],
        "conv_op": nn.Conv2d,
        "kernel_sizes": 3,
        "strides": [1, 2, 2],
        "num_classes": 2,
        "n_conv_per_stage_decoder": 1,
        "conv_bias": True,
        "norm_op": nn.InstanceNorm2d,
        "norm_op_kwargs": {"affine": True},
        "nonlin": nn.LeakyReLU,
        "deep_supervision": True,
        "n_conv_per_stage" if is_plain else "n_blocks_per_stage": 1,
    }
    return architecture(**(arguments | changes))


class Network(nn.Module):
    """A student and its teacher."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.teacher = copy_without_gradient(backbone)


def ways(network: Network) -> list[list[torch.Tensor]]:
    """What a step asks of a network: any level, with and without gradient, parts of a batch."""
    found = []
    for size, count in ((16, 7), (8, 5)):
        generator = torch.Generator().manual_seed(size)
        views = torch.randn(count, 1, size, size, generator=generator)
        for highest in (None, 0, 1):
            for part in (views[:3], views[3:5], views):
                found.append(network.backbone(part, highest))
                with torch.no_grad():
                    found.append(network.backbone(part, highest))
    return found


@pytest.mark.parametrize(
    ("pyramid", "architecture"),
    [(NonSkipUNet, PlainConvUNet), (SkipUNet, ResidualEncoderUNet), (Encoder, PlainConvUNet)],
)
@pytest.mark.slow
def test_every_stage_is_compiled_a_few_times_and_gives_the_same_features(pyramid, architecture):
    network = Network(pyramid(planned(architecture)))
    expected = ways(network)
    graphs = CountedGraphs()
    compile_stages(network, backend=graphs)
    for ours, wanted in zip(ways(network), expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, wanted, strict=True))
    once, stages = graphs.number, len(stages_of(network.backbone))
    # With and without gradient, for two sizes of views and any number of them.
    assert once == 2 * 2 * stages
    ways(network)
    assert graphs.number == once


@pytest.mark.slow
def test_teachers_are_compiled_too():
    network = Network(Encoder(planned()))
    graphs = CountedGraphs()
    compile_stages(network, backend=graphs)
    with torch.no_grad():
        network.teacher(torch.randn(2, 1, 16, 16))
    assert graphs.number == len(stages_of(network.teacher))


def test_a_decoder_that_is_no_part_of_the_backbone_is_compiled_too():
    network = MAENetwork(planned(), 1, densified=True)
    compile_stages(network, backend=CountedGraphs())
    for part in (network.backbone, network.decoder):
        assert all(stage._compiled_call_impl is not None for stage in stages_of(part))


@pytest.mark.slow
def test_gradients_are_those_of_the_network_as_it_is():
    network = NonSkipUNet(planned())
    compiled = copy.deepcopy(network)
    compile_stages(compiled, backend=CountedGraphs())
    views = torch.randn(3, 1, 16, 16)
    for each in (network, compiled):
        sum((level**2).mean() for level in each(views)).backward()
    for parameter, other in zip(network.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad)


@pytest.mark.slow
def test_torchs_own_compiler_gives_the_gradients_of_views_of_two_sizes(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    # Code that is not optimised is written in a third of the time, without processes for it.
    monkeypatch.setenv("TORCHINDUCTOR_DEBUG_COMPILE", "1")
    monkeypatch.setattr(inductor.config, "compile_threads", 1)
    torch._dynamo.reset()
    counters.clear()
    network = Encoder(planned(n_stages=1, features_per_stage=[4], strides=[2]))
    compiled = copy.deepcopy(network)
    compile_stages(compiled)
    generator = torch.Generator().manual_seed(0)
    for number, size in ((3, (16, 16)), (2, (16, 16)), (3, (8, 12)), (2, (8, 12))):
        views = torch.randn(number, 1, *size, generator=generator)
        for each in (network, compiled):
            sum((level**2).mean() for level in each(views)).backward()
    # One for each stage and size; the number of views asks for none of its own.
    assert counters["stats"]["unique_graphs"] == 2 * len(stages_of(network))
    for (name, parameter), other in zip(
        network.named_parameters(), compiled.parameters(), strict=True
    ):
        torch.testing.assert_close(parameter.grad, other.grad, msg=name)


def test_names_stay_and_copies_are_not_compiled():
    network = NonSkipUNet(planned())
    names = list(network.state_dict())
    graphs = CountedGraphs()
    compile_stages(network, backend=graphs)
    assert list(network.state_dict()) == names
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        other(torch.randn(2, 1, 16, 16))
    assert graphs.number == 0
    target = planned()
    network.write_into(target)
    assert torch.equal(
        target.encoder.stages[0][0].convs[0].conv.weight,
        network.encoder.stages[0][0].convs[0].conv.weight,
    )


def test_no_stage_is_forgotten():
    network = SkipUNet(planned(ResidualEncoderUNet))
    inside = {id(p) for stage in stages_of(network) for p in stage.parameters()}
    assert inside == {id(p) for p in network.parameters()}
