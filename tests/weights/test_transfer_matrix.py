"""The whole matrix of architectures, geometries, channels and plans: counts, shapes, features.

Source and target have the same strides, so that features can be compared: an image whose channels
are all equal must get the same features from both wherever the adaptation is exact.
"""

import pytest
import torch
from planned_networks import GEOMETRIES, planned_network, random_images, shaken
from torch import Tensor, nn

from nnunetv2_pcrl.weights.channels import InputChannels
from nnunetv2_pcrl.weights.report import group_of
from nnunetv2_pcrl.weights.transfer import transfer_weights

CHANNELS = [(1, 1), (1, 4), (4, 1), (2, 4), (4, 4)]
NUM_STAGES = {"same plan": 4, "fewer stages": 3, "other kernels": 4, "smaller kernels": 4}
BLOCKS = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}


def kernels(geometry: str, first: int) -> list[list[int]]:
    """3 everywhere but along the first axis of the first two stages."""
    num_axes = len(GEOMETRIES[geometry].global_size)
    other = [first] + [3] * (num_axes - 1)
    return [other, other, [3] * num_axes, [3] * num_axes]


def network_of(architecture: str, geometry: str, channels: int, stages: int, first: int, seed: int):
    changes = {
        "n_stages": stages,
        "features_per_stage": [4, 8, 16, 16][:stages],
        "kernel_sizes": kernels(geometry, first)[:stages],
        "strides": GEOMETRIES[geometry].strides[:stages],
        "n_conv_per_stage_decoder": [1] * (stages - 1),
        BLOCKS[architecture]: [1, 2, 1, 1][:stages],
    }
    return shaken(planned_network(architecture, geometry, channels, seed=seed, **changes), seed)


def pair(architecture: str, geometry: str, channels: tuple[int, int], plan: str):
    """A pretrained network of four stages and a fresh one of the target's plan."""
    first_axis = {"other kernels": (1, 3), "smaller kernels": (3, 1)}.get(plan, (3, 3))
    source = network_of(architecture, geometry, channels[0], 4, first_axis[0], seed=1)
    target = network_of(
        architecture, geometry, channels[1], NUM_STAGES[plan], first_axis[1], seed=2
    )
    return source, target


def encoder_features(network: nn.Module, image: Tensor, num_channels: int) -> list[Tensor]:
    """Outputs of all stages for an image [1, 1, ...] that every channel shows."""
    with torch.no_grad():
        return network.encoder(image.expand(1, num_channels, *image.shape[2:]))


@pytest.mark.parametrize("plan", NUM_STAGES)
@pytest.mark.parametrize("channels", CHANNELS, ids=lambda c: f"{c[0]} to {c[1]}")
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("architecture", BLOCKS)
def test_the_matrix(architecture, geometry, channels, plan):
    source, target = pair(architecture, geometry, channels, plan)
    before = {name: value.detach().clone() for name, value in target.named_parameters()}
    given = source.state_dict()
    report = transfer_weights(given, target, "encoder_decoder")

    # Counts: every parameter once, the encoder whole, nothing left but the heads.
    names = [entry.name for entry in report.entries]
    assert sorted(names) == sorted(before)
    assert report.encoder_share() == 1
    assert {group_of(name) for name in report.left} == {"segmentation heads"}
    entry = {entry.name: entry for entry in report.entries}
    kernels_changed = {name for name, how in report.adapted.items() if "kernel" in how}
    assert bool(kernels_changed) == ("kernels" in plan)
    stem = next(name for name, value in before.items() if value.ndim > 2)
    assert ("input channels" in entry[stem].reason) == (channels[0] != channels[1])
    assert entry[stem].file_shape[1] == channels[0] and entry[stem].shape[1] == channels[1]

    # Shapes: those of the network; values: those of the file wherever it says "loaded".
    levels = {"decoder": 4 - NUM_STAGES[plan], "encoder": 0}
    for name, value in target.named_parameters():
        assert value.shape == before[name].shape
        if name in report.loaded:
            part, kind, number, *rest = name.split(".")
            if number.isdigit():
                name = ".".join([part, kind, str(int(number) + levels[part]), *rest])
            assert torch.equal(value, given[name]), name
    deepest = [name for name in report.unused if name.startswith("encoder.")]
    assert bool(deepest) == (plan == "fewer stages")
    assert all(name.startswith("encoder.stages.3") for name in deepest)

    # Features of equal channels, where the adaptation is exact.
    image = random_images(1, 1, *GEOMETRIES[geometry].global_size)
    if plan != "smaller kernels":
        old = encoder_features(source, image, channels[0])[: NUM_STAGES[plan]]
        for a, b in zip(old, encoder_features(target, image, channels[1]), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", BLOCKS)
def test_a_2d_network_inflated_to_3d_computes_the_same_in_every_slice(architecture):
    flat = shaken(planned_network(architecture, "2d", 1, seed=1), 1)
    volume = shaken(planned_network(architecture, "3d", 2, seed=2), 2)
    report = transfer_weights(flat.state_dict(), volume, "encoder_decoder", other_dimension=True)
    assert report.encoder_share() == 1
    heads = {f"decoder.seg_layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")}
    assert set(report.left) == heads
    features = []
    for network in (flat, volume):
        network.decoder.stages[-1].register_forward_hook(lambda *args: features.append(args[2]))
    image = random_images(1, 1, 16, 24)
    with torch.no_grad():
        flat(image)
        volume(image[:, :, None].expand(1, 2, 8, 16, 24))
    for z in range(8):
        torch.testing.assert_close(features[1][:, :, z], features[0], rtol=1e-3, atol=1e-3)


def test_a_3d_network_sums_its_kernels_for_2d():
    volume = shaken(planned_network(geometry="3d", seed=1), 1)
    flat = planned_network(geometry="2d", seed=2)
    report = transfer_weights(volume.state_dict(), flat, other_dimension=True)
    assert report.encoder_share() == 1
    name = "encoder.stages.1.0.convs.0.conv.weight"
    torch.testing.assert_close(flat.state_dict()[name], volume.state_dict()[name].sum(2))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_convolutions_of_a_plain_network_start_a_residual_one_and_the_other_way(geometry):
    plain = shaken(planned_network("PlainConvUNet", geometry, n_conv_per_stage=2, seed=1), 1)
    residual = shaken(planned_network("ResidualEncoderUNet", geometry, seed=2), 2)
    report = transfer_weights(plain.state_dict(), residual)
    # The stem and the first convolution of stage 0 are the plain network's two of stage 0.
    stages = {
        "encoder.stages.0.0.convs.0": "encoder.stem.convs.0",
        "encoder.stages.0.0.convs.1": "encoder.stages.0.blocks.0.conv1",
        "encoder.stages.3.0.convs.1": "encoder.stages.3.blocks.0.conv2",
    }
    for one, other in stages.items():
        for part in ("conv.weight", "norm.bias"):
            assert torch.equal(
                plain.state_dict()[f"{one}.{part}"], residual.state_dict()[f"{other}.{part}"]
            )
    assert "encoder.stages.1.blocks.0.skip.1.conv.weight" in report.left

    plain = shaken(planned_network("PlainConvUNet", geometry, n_conv_per_stage=2, seed=3), 3)
    assert transfer_weights(residual.state_dict(), plain).encoder_share() == 1
    for one, other in stages.items():
        name = f"{one}.conv.weight"
        assert torch.equal(plain.state_dict()[name], residual.state_dict()[f"{other}.conv.weight"])


def test_other_strides_change_no_convolution_and_only_kernels_of_upsampling():
    strides = [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2]]
    source = shaken(planned_network(geometry="3d", seed=1), 1)
    target = planned_network(geometry="3d", seed=2, strides=strides)
    report = transfer_weights(source.state_dict(), target, "encoder_decoder")
    assert set(report.adapted) == {"decoder.transpconvs.1.weight", "decoder.transpconvs.2.weight"}
    assert set(report.adapted.values()) == {"kernel (2, 2, 2) -> (1, 2, 2)"}


def test_channels_of_a_cascade_start_at_zero_and_do_not_count_as_image_channels():
    source = shaken(planned_network(geometry="3d", input_channels=2, seed=1), 1)
    target = planned_network(geometry="3d", input_channels=5, seed=2)
    channels = InputChannels(("T1", "T2"), ("T2", "T1"), num_extra=3)
    transfer_weights(source.state_dict(), target, channels=channels)
    old, new = (next(network.parameters()) for network in (source, target))
    assert torch.equal(new[:, :2], old.flip(1))
    assert not new[:, 2:].any()
