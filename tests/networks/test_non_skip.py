"""The non-skip variant equals the planned network whose skip connections carry nothing."""

import os
from collections import Counter

import pytest
import torch
from planned_networks import ARCHITECTURES, GEOMETRIES, planned_network, random_images, shaken
from torch import nn

from nnunetv2_pcrl.networks.non_skip import NonSkipUNet

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES)
CHANNELS = {"2d": 3, "3d": 1, "anisotropic": 2}


def images(geometry: str, **options) -> torch.Tensor:
    return random_images(2, CHANNELS[geometry], *GEOMETRIES[geometry].global_size, **options)


def planned(architecture: str, geometry: str, seed: int = 0, **changes) -> nn.Module:
    arguments = {"input_channels": CHANNELS[geometry], "seed": seed} | changes
    return shaken(planned_network(architecture, geometry, **arguments), seed)


def widened_weights(network: nn.Module) -> list[tuple[torch.Tensor, int]]:
    """Decoder weights over [upsampled, skip] of a stock network, with C."""
    found = []
    for stage, transpconv in zip(network.decoder.stages, network.decoder.transpconvs, strict=True):
        channels = transpconv.out_channels
        found += [
            (weight, channels)
            for weight in stage.parameters()
            if weight.ndim > 1 and weight.shape[1] == 2 * channels
        ]
    return found


@torch.no_grad()
def set_skip_halves_to_zero(network: nn.Module) -> None:
    for weight, channels in widened_weights(network):
        weight[:, channels:] = 0


@torch.no_grad()
def decoder_features(network: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """What the stock network computes in every decoder stage, low to high resolution."""
    features = []
    hooks = [
        stage.register_forward_hook(lambda _module, _inputs, output: features.append(output))
        for stage in network.decoder.stages
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return features


def assert_all_equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b), f"largest difference {(a - b).abs().max():.3g}"


@every_architecture
@every_geometry
@torch.no_grad()
def test_the_pyramid_equals_the_stock_features_with_a_zero_skip_half(architecture, geometry):
    network = planned(architecture, geometry)
    backbone = NonSkipUNet(network)
    x = images(geometry)
    set_skip_halves_to_zero(network)
    assert_all_equal(decoder_features(network, x), backbone(x))


@torch.no_grad()
def test_the_stock_features_are_others_when_the_skip_half_is_not_zero():
    network = planned("PlainConvUNet", "2d")
    x = images("2d")
    for stock, ours in zip(decoder_features(network, x), NonSkipUNet(network)(x), strict=True):
        assert not torch.allclose(stock, ours, atol=1e-3)


@every_architecture
@torch.no_grad()
def test_the_stock_features_agree_to_rounding_in_float64_with_many_features(architecture):
    network = planned(architecture, "2d", features_per_stage=[32, 64, 128, 128]).double()
    backbone = NonSkipUNet(network)
    x = images("2d", dtype=torch.float64)
    set_skip_halves_to_zero(network)
    for stock, ours in zip(decoder_features(network, x), backbone(x), strict=True):
        torch.testing.assert_close(ours, stock, rtol=1e-12, atol=1e-12)


@every_architecture
@every_geometry
def test_channels_and_strides_of_the_levels_are_those_of_the_outputs(architecture, geometry):
    backbone = NonSkipUNet(planned(architecture, geometry))
    size = GEOMETRIES[geometry].global_size
    pyramid = backbone(images(geometry))
    assert len(backbone.level_channels) == len(pyramid) == 3
    assert backbone.level_channels == tuple(features.shape[1] for features in pyramid)
    for features, stride in zip(pyramid, backbone.level_strides, strict=True):
        assert tuple(n * s for n, s in zip(features.shape[2:], stride, strict=True)) == size


def test_anisotropic_level_strides_are_the_products_of_the_planned_ones():
    backbone = NonSkipUNet(planned("PlainConvUNet", "anisotropic"))
    assert backbone.level_strides == ((2, 4, 4), (1, 2, 2), (1, 1, 1))
    assert backbone.level_channels == (16, 8, 4)


@torch.no_grad()
def test_plans_with_single_numbers_per_stage_and_a_strided_first_stage_work():
    network = planned(
        "PlainConvUNet",
        "3d",
        features_per_stage=6,
        kernel_sizes=3,
        strides=[2, 1, 2, 2],
        n_conv_per_stage=1,
        n_conv_per_stage_decoder=1,
    )
    backbone = NonSkipUNet(network)
    pyramid = backbone(images("3d"))
    assert backbone.level_strides == ((4, 4, 4), (2, 2, 2), (2, 2, 2))
    assert [tuple(f.shape[1:]) for f in pyramid] == [(6, 2, 4, 4), (6, 4, 8, 8), (6, 4, 8, 8)]
    set_skip_halves_to_zero(network)
    assert_all_equal(decoder_features(network, images("3d")), pyramid)


@torch.no_grad()
def test_a_stem_of_its_own_width_belongs_to_the_encoder():
    network = planned("ResidualEncoderUNet", "2d", stem_channels=10)
    backbone = NonSkipUNet(network)
    set_skip_halves_to_zero(network)
    assert_all_equal(decoder_features(network, images("2d")), backbone(images("2d")))


def call_counts(backbone: NonSkipUNet, x: torch.Tensor, highest: int | None) -> Counter:
    """Calls of every transposed convolution and stage, by name."""
    counts = Counter()
    for name in ("transpconvs", "stages"):
        for index, module in enumerate(getattr(backbone, name)):
            module.register_forward_hook(
                lambda *_, key=(name, index): counts.update([key]),
            )
    backbone(x, highest)
    return counts


@every_architecture
@pytest.mark.parametrize("highest", [0, 1, 2, None])
def test_nothing_above_the_highest_level_is_computed(architecture, highest):
    last = 2 if highest is None else highest
    counts = call_counts(NonSkipUNet(planned(architecture, "2d")), images("2d"), highest)
    expected = {(name, i): 1 for name in ("transpconvs", "stages") for i in range(last + 1)}
    assert counts == expected


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("highest", [0, 1, 2])
@torch.no_grad()
def test_lower_levels_are_the_same_whatever_the_highest_level(geometry, highest):
    backbone = NonSkipUNet(planned("ResidualEncoderUNet", geometry))
    x = images(geometry)
    assert_all_equal(backbone(x, highest), backbone(x)[: highest + 1])


@every_architecture
def test_encoder_and_transposed_convolutions_are_the_planned_modules(architecture):
    network = planned(architecture, "3d")
    backbone = NonSkipUNet(network)
    assert backbone.encoder is network.encoder
    assert all(
        ours is stock
        for ours, stock in zip(backbone.transpconvs, network.decoder.transpconvs, strict=True)
    )


@every_architecture
def test_the_planned_decoder_is_not_modified(architecture):
    network = planned(architecture, "2d")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    backbone = NonSkipUNet(network)
    with torch.no_grad():
        for parameter in backbone.stages.parameters():
            parameter.fill_(7.0)
    after = network.state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]), name


@every_architecture
def test_the_encoder_is_registered_under_one_name(architecture):
    backbone = NonSkipUNet(planned(architecture, "2d"))
    owners = [name for name, module in backbone.named_modules(remove_duplicate=False)]
    assert owners.count("encoder") == 1
    assert not [name for name in owners if name.endswith(".encoder")]
    assert {name.split(".")[0] for name in backbone.state_dict()} == {
        "encoder",
        "transpconvs",
        "stages",
    }


@every_architecture
def test_a_checkpoint_is_not_larger_than_its_parameters(architecture, tmp_path):
    backbone = NonSkipUNet(planned(architecture, "3d", features_per_stage=[16, 32, 64, 64]))
    num_bytes = sum(p.numel() * p.element_size() for p in backbone.parameters())
    torch.save(backbone.state_dict(), tmp_path / "checkpoint.pth")
    assert os.path.getsize(tmp_path / "checkpoint.pth") < 1.1 * num_bytes


@every_architecture
@every_geometry
@torch.no_grad()
def test_the_skip_network_made_from_a_backbone_computes_its_features(architecture, geometry):
    backbone = shaken(NonSkipUNet(planned(architecture, geometry, seed=1)), seed=9)
    network = planned(architecture, geometry, seed=2)
    x = images(geometry)
    backbone.write_into(network)
    assert_all_equal(decoder_features(network, x), backbone(x))


@every_architecture
def test_the_skip_network_has_the_stock_names_and_only_zeros_in_the_skip_half(architecture):
    network = planned(architecture, "2d", seed=2)
    seg_layers = [p.detach().clone() for p in network.decoder.seg_layers.parameters()]
    NonSkipUNet(planned(architecture, "2d", seed=1)).write_into(network)

    stock = planned_network(architecture, "2d", CHANNELS["2d"])
    assert list(network.state_dict()) == list(stock.state_dict())
    stock.load_state_dict(network.state_dict(), strict=True)
    widened = widened_weights(network)
    assert len(widened) == len(network.decoder.stages) * (
        2 if architecture == "ResidualUNet" else 1
    )
    for weight, channels in widened:
        assert not weight[:, channels:].any()
        assert weight[:, :channels].any()
    for before, after in zip(seg_layers, network.decoder.seg_layers.parameters(), strict=True):
        assert torch.equal(before, after)


def test_the_zero_skip_half_receives_gradient():
    network = planned("PlainConvUNet", "anisotropic", seed=2)
    NonSkipUNet(planned("PlainConvUNet", "anisotropic", seed=1)).write_into(network)
    sum(output.square().mean() for output in network(images("anisotropic"))).backward()
    for weight, channels in widened_weights(network):
        assert weight.grad[:, channels:].any()


def test_the_skip_network_does_not_share_storage_with_the_backbone():
    backbone, network = (
        NonSkipUNet(planned("PlainConvUNet", "2d", seed=1)),
        planned("PlainConvUNet", "2d", seed=2),
    )
    backbone.write_into(network)
    theirs = {p.data_ptr() for p in network.parameters()}
    assert not theirs & {p.data_ptr() for p in backbone.parameters()}


@pytest.mark.parametrize(
    ("architecture", "geometry", "changes"),
    [
        ("PlainConvUNet", "2d", {"features_per_stage": [4, 8, 16, 20]}),
        ("PlainConvUNet", "2d", {"input_channels": 4}),
        ("PlainConvUNet", "2d", {"n_conv_per_stage_decoder": [2, 2, 2]}),
        ("PlainConvUNet", "3d", {"input_channels": 3}),
        ("ResidualEncoderUNet", "2d", {}),
        (
            "PlainConvUNet",
            "2d",
            {
                "n_stages": 3,
                "features_per_stage": [4, 8, 16],
                "strides": [1, 2, 2],
                "kernel_sizes": 3,
                "n_conv_per_stage": [1, 2, 1],
                "n_conv_per_stage_decoder": [2, 1],
            },
        ),
    ],
)
def test_a_network_of_another_plan_is_refused(architecture, geometry, changes):
    backbone = NonSkipUNet(planned("PlainConvUNet", "2d"))
    network = planned(architecture, geometry, **changes)
    with pytest.raises(ValueError, match="not planned like the backbone"):
        backbone.write_into(network)


def test_a_residual_decoder_is_not_taken_for_a_plain_one():
    backbone = NonSkipUNet(planned("ResidualUNet", "2d"))
    with pytest.raises(ValueError, match="not planned like the backbone"):
        backbone.write_into(planned("ResidualEncoderUNet", "2d"))


def test_a_network_that_is_no_u_net_is_refused_by_name():
    with pytest.raises(ValueError, match=r"container\.Sequential cannot .*PlainConvUNet"):
        NonSkipUNet(nn.Sequential(nn.Conv3d(1, 2, 3)))


def test_a_transformer_is_refused_by_name():
    primus = pytest.importorskip("dynamic_network_architectures.architectures.primus")
    network = primus.Primus(
        input_channels=1,
        embed_dim=24,
        patch_embed_size=(8, 8, 8),
        num_classes=2,
        eva_depth=1,
        eva_numheads=2,
        input_shape=(16, 16, 16),
    )
    with pytest.raises(ValueError, match=r"primus\.Primus cannot .*ResidualEncoderUNet"):
        NonSkipUNet(network)


def test_a_u_net_that_adds_its_skips_instead_of_concatenating_them_is_refused():
    network = planned("PlainConvUNet", "2d")
    for stage, transpconv in zip(network.decoder.stages, network.decoder.transpconvs, strict=True):
        first = stage.convs[0].conv
        first.weight = nn.Parameter(first.weight.detach()[:, : transpconv.out_channels].clone())
        first.in_channels = transpconv.out_channels
    with pytest.raises(ValueError, match="do not concatenate upsampled map and skip"):
        NonSkipUNet(network)
