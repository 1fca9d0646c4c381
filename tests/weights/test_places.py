"""Places in a U-Net: equal for tensors that do the same, whatever they are called."""

import pytest
from planned_networks import ARCHITECTURES, planned_network

from nnunetv2_pcrl.weights.places import Place, is_alias, places_of


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_but_the_segmentation_layers_has_a_place_of_its_own(architecture):
    names = [name for name, _ in planned_network(architecture).named_parameters()]
    places = places_of(names)
    assert {name for name in names if name not in places} == {
        name for name in names if ".seg_layers." in name
    }
    assert len(set(places.values())) == len(places)


def test_second_names_of_a_tensor_have_no_place():
    network = planned_network("ResidualEncoderUNet")
    names = {name for name, _ in network.named_parameters()}
    assert {name for name in network.state_dict() if not is_alias(name)} == names


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("encoder.stages.0.0.convs.0.conv.weight", ("encoder", 0, "main", 0, "conv", "weight")),
        ("encoder.stages.1.0.convs.1.norm.bias", ("encoder", 1, "main", 1, "norm", "bias")),
        # Level 0 of three is the lowest resolution but one.
        ("decoder.transpconvs.0.weight", ("upsampling", 2, "main", 0, "conv", "weight")),
        ("decoder.stages.2.convs.0.conv.weight", ("decoder", 0, "main", 0, "conv", "weight")),
    ],
)
def test_places_of_a_plain_network(name, place):
    assert places_of(planned_network().state_dict())[name] == Place(*place)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("encoder.stem.convs.0.conv.weight", ("encoder", 0, "main", 0, "conv", "weight")),
        # The stem comes before the first block of stage 0.
        ("encoder.stages.0.blocks.0.conv1.conv.bias", ("encoder", 0, "main", 1, "conv", "bias")),
        ("encoder.stages.1.blocks.0.conv1.conv.bias", ("encoder", 1, "main", 0, "conv", "bias")),
        (
            "encoder.stages.1.blocks.1.conv2.norm.weight",
            ("encoder", 1, "main", 3, "norm", "weight"),
        ),
        (
            "encoder.stages.2.blocks.0.skip.1.conv.weight",
            ("encoder", 2, "projection", 0, "conv", "weight"),
        ),
    ],
)
def test_places_of_a_residual_network(name, place):
    assert places_of(planned_network("ResidualEncoderUNet").state_dict())[name] == Place(*place)


def test_only_the_convolution_that_reads_the_image_is_the_first():
    for architecture, name in zip(
        ARCHITECTURES,
        (
            "encoder.stages.0.0.convs.0.conv.",
            "encoder.stem.convs.0.conv.",
            "encoder.stem.convs.0.conv.",
        ),
        strict=True,
    ):
        places = places_of(planned_network(architecture).state_dict())
        first = {n for n, place in places.items() if place.is_first_convolution}
        assert first == {f"{name}weight", f"{name}bias"}


def test_names_of_other_networks_have_no_place():
    assert places_of(["eva.blocks.0.attn.weight", "stages.0.weight", "decoder.weight"]) == {}
