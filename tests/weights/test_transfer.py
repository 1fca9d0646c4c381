"""Transfer onto a planned network: what is loaded, what is left, and what the report says."""

import pytest
import torch
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from planned_networks import (
    ARCHITECTURES,
    GEOMETRIES,
    planned_network,
    pretraining_network,
    random_images,
    shaken,
)
from torch import Tensor, nn

from nnunetv2_pcrl.weights.portable import write_weights
from nnunetv2_pcrl.weights.reading import read_weights
from nnunetv2_pcrl.weights.report import group_of
from nnunetv2_pcrl.weights.transfer import TRANSFER_MODES, transfer_weights

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES)
every_mode = pytest.mark.parametrize("mode", TRANSFER_MODES)
CHANNELS = {"2d": 3, "3d": 1, "anisotropic": 2}


def pretrained(architecture: str = "PlainConvUNet", geometry: str = "2d") -> nn.Module:
    """A pretrained backbone, written into the skip network of its plan."""
    channels = CHANNELS[geometry]
    pretraining = shaken(pretraining_network(architecture, geometry, channels, seed=1), seed=1)
    network = planned_network(architecture, geometry, channels, seed=1)
    pretraining.backbone.write_into(network)
    return network


def fresh(architecture: str = "PlainConvUNet", geometry: str = "2d", **changes) -> nn.Module:
    arguments = {"input_channels": CHANNELS[geometry], "seed": 2} | changes
    return shaken(planned_network(architecture, geometry, **arguments), arguments["seed"])


def values(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def is_widened(name: str, weight: Tensor) -> bool:
    return (
        name.startswith("decoder.stages")
        and weight.ndim > 2
        and (weight.shape[1] == 2 * weight.shape[0])
    )


@every_architecture
@every_geometry
def test_the_encoder_alone_is_loaded_exactly(architecture, geometry):
    source, network = pretrained(architecture, geometry), fresh(architecture, geometry)
    before, given = values(network), values(source)
    report = transfer_weights(source.state_dict(), network, "encoder")
    for name, value in values(network).items():
        expected = given if name.startswith("encoder.") else before
        assert torch.equal(value, expected[name]), name
        assert (name in report.loaded) == name.startswith("encoder.")
    assert not report.adapted


@every_architecture
@every_geometry
def test_the_decoder_is_loaded_with_the_skip_half_as_initialised(architecture, geometry):
    source, network = pretrained(architecture, geometry), fresh(architecture, geometry)
    before, given = values(network), values(source)
    report = transfer_weights(source.state_dict(), network, "encoder_decoder")
    num_adapted = 0
    for name, value in values(network).items():
        if ".seg_layers." in name:
            assert torch.equal(value, before[name]), name
        elif is_widened(name, value):
            half = value.shape[1] // 2
            assert torch.equal(value[:, :half], given[name][:, :half]), name
            assert torch.equal(value[:, half:], before[name][:, half:]), name
            assert name in report.adapted
            num_adapted += 1
        else:
            assert torch.equal(value, given[name]), name
            assert name in report.loaded
    assert num_adapted == len(report.adapted) == (6 if architecture == "ResidualUNet" else 3)


@every_architecture
@every_geometry
@torch.no_grad()
def test_the_decoder_with_a_zero_skip_half_computes_the_pretrained_features(architecture, geometry):
    source, network = pretrained(architecture, geometry), fresh(architecture, geometry)
    before, given = values(network), values(source)
    report = transfer_weights(source.state_dict(), network, "encoder_decoder_zero_skip")
    for name, value in values(network).items():
        expected = before if ".seg_layers." in name else given
        assert torch.equal(value, expected[name]), name
    assert not report.adapted

    features = []
    for model in (source, network):
        model.decoder.stages[-1].register_forward_hook(lambda *args: features.append(args[2]))
        model(random_images(1, CHANNELS[geometry], *GEOMETRIES[geometry].global_size))
    assert torch.equal(*features)


def test_a_decoder_that_was_trained_with_skips_is_loaded_whole():
    source, network = fresh(seed=5), fresh()
    report = transfer_weights(source.state_dict(), network, "encoder_decoder")
    assert not report.adapted
    for name, value in values(network).items():
        assert torch.equal(value, values(source)[name]) == (".seg_layers." not in name)


def test_a_file_of_the_encoder_alone_is_enough_for_the_encoder():
    weights = {k: v for k, v in pretrained().state_dict().items() if k.startswith("encoder.")}
    network = fresh()
    transfer_weights(weights, network, "encoder")
    assert torch.equal(next(network.parameters()), next(iter(weights.values())))


def test_running_statistics_of_batch_normalisation_belong_to_the_weights():
    options = {"norm_op": nn.BatchNorm2d}
    source, network = fresh(seed=5, **options), fresh(**options)
    source(random_images(4, 3, 16, 24))
    transfer_weights(source.state_dict(), network, "encoder_decoder")
    for name, value in network.named_buffers():
        assert torch.equal(value, source.get_buffer(name)), name


@every_mode
def test_the_network_does_not_share_storage_with_the_weights(mode):
    source, network = pretrained(), fresh()
    transfer_weights(source.state_dict(), network, mode)
    assert not {p.data_ptr() for p in network.parameters()} & {
        p.data_ptr() for p in source.parameters()
    }
    assert all(p.requires_grad for p in network.parameters())


@every_mode
def test_weights_of_another_precision_are_converted(mode):
    source, network = pretrained(), fresh()
    transfer_weights({k: v.half() for k, v in source.state_dict().items()}, network, mode)
    assert {p.dtype for p in network.parameters()} == {torch.float32}


# The report


@every_architecture
@every_mode
def test_the_report_counts_every_parameter_once(architecture, mode):
    network = fresh(architecture)
    report = transfer_weights(pretrained(architecture).state_dict(), network, mode)
    names = [*report.loaded, *report.adapted, *report.left]
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())
    total = sum(p.numel() for p in network.parameters())
    assert sum(entry.num_values for entry in report.entries) == total
    cells = [cell for row in report.groups().values() for cell in row.values()]
    assert sum(tensors for tensors, _ in cells) == len(names)
    assert sum(numbers for _, numbers in cells) == total


def test_the_report_says_why_a_parameter_was_left():
    report = transfer_weights(pretrained().state_dict(), fresh(), "encoder")
    reasons = {name.split(".")[1]: reason for name, reason in report.left.items()}
    assert reasons == {
        "stages": 'not part of "encoder"',
        "transpconvs": 'not part of "encoder"',
        "seg_layers": "segmentation layer",
    }


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("encoder.stem.convs.0.conv.weight", "encoder stem"),
        ("encoder.stages.0.0.convs.0.conv.weight", "encoder stage 0"),
        ("encoder.stages.12.blocks.0.conv1.conv.bias", "encoder stage 12"),
        ("decoder.transpconvs.2.weight", "decoder level 2"),
        ("decoder.stages.2.convs.0.conv.weight", "decoder level 2"),
        ("decoder.seg_layers.1.weight", "segmentation heads"),
        ("something.else", "other"),
    ],
)
def test_parameters_are_grouped_by_layer(name, group):
    assert group_of(name) == group


def test_the_groups_tell_loaded_adapted_and_left_apart():
    groups = transfer_weights(pretrained().state_dict(), fresh(), "encoder_decoder").groups()
    assert set(groups) == {
        *(f"encoder stage {i}" for i in range(4)),
        *(f"decoder level {i}" for i in range(3)),
        "segmentation heads",
    }
    # Level 1: transposed convolution 16 -> 8 (2x2), one convolution 16 -> 8 (3x3), of which the
    # upsampled half comes from the file, normalisation.
    assert groups["decoder level 1"] == {
        "loaded": [5, 16 * 8 * 4 + 8 + 8 + 8 + 8],
        "adapted": [1, 8 * 8 * 9],
        "left": [0, 8 * 8 * 9],
    }
    assert groups["segmentation heads"]["left"] == [6, 3 * (16 + 8 + 4) + 3 * 3]


def test_the_summary_of_the_encoder_mode_counts_tensors_and_parameters():
    network = fresh()
    report = transfer_weights(pretrained().state_dict(), network, "encoder")
    encoder = sum(p.numel() for p in network.encoder.parameters())
    total = sum(p.numel() for p in network.parameters())
    num_loaded = len(list(network.encoder.parameters()))
    num_left = len(list(network.parameters())) - num_loaded
    assert report.summary() == (
        f"{num_loaded} tensors loaded, 0 adapted, {num_left} left as initialised; {encoder:,} of "
        f"{total:,} parameters ({100 * encoder / total:.1f} %) come from the file, "
        f"100.0 % of the encoder's"
    )


def test_the_summary_counts_only_values_that_come_from_the_file():
    source, network = pretrained(), fresh()
    before, given = values(network), values(source)
    report = transfer_weights(source.state_dict(), network, "encoder_decoder")
    now = values(network)
    from_file = sum(int((now[n] == given[n]).sum()) for n in now if ".seg_layers." not in n)
    as_before = sum(int((now[n] == before[n]).sum()) for n in now)
    total = sum(v.numel() for v in now.values())
    assert from_file + as_before == total
    assert f"{from_file:,} of {total:,} parameters" in report.summary()


def test_the_lines_hold_a_table_the_reasons_and_the_summary():
    report = transfer_weights(pretrained().state_dict(), fresh(), "encoder_decoder")
    lines = report.lines()
    assert lines[-1] == report.summary()
    assert len({len(line) for line in lines[: 1 + len(report.groups())]}) == 1
    text = "\n".join(lines)
    for group in report.groups():
        assert f"\n{group} " in text
    assert "adapted: 3 tensors: upsampled half loaded, skip half as initialised (" in text
    assert "left: 6 tensors: segmentation layer (decoder.seg_layers.0.weight, " in text


# Refusals


def without(start: str) -> dict[str, Tensor]:
    return {k: v for k, v in pretrained().state_dict().items() if not k.startswith(start)}


REFUSED = {
    "other features": (
        lambda: fresh(features_per_stage=[6, 12, 20, 20]).state_dict(),
        r"only 0\.0 % of the encoder's parameters.*at least 50 %.*tensors: another number of "
        r"features \(encoder\.stages\.0\.0\.convs\.0\.conv\.weight: file \(6, 3, 3, 3\), network "
        r"\(4, 3, 3, 3\).*Pretrain with this plan",
    ),
    "only the first stages": (
        lambda: without(("encoder.stages.2", "encoder.stages.3")),
        r"only \d+\.\d % of .*the file has no tensor for this place \(encoder\.stages\.2\..*file "
        r"nothing, network \(16, 8, 3, 3\)",
    ),
    "three dimensions": (
        lambda: fresh(geometry="3d", input_channels=3).state_dict(),
        r"those of a 3D network, the planned network is 2D \(encoder\.stages\.0.*"
        r"\"other_dimension\": true.*--other_dimension of nnUNetv2_pcrl_export",
    ),
    "nothing": (dict, r"only 0\.0 % of"),
    "a number that is none": (
        lambda: {k: v * float("nan") for k, v in pretrained().state_dict().items()},
        "damaged: encoder.* holds values that are not finite",
    ),
    "quantised numbers": (
        lambda: {k: (9 * v).to(torch.int8) for k, v in pretrained().state_dict().items()},
        r"only 0\.0 % of.*tensors: no floating-point numbers, but torch\.int8",
    ),
}


@every_mode
@pytest.mark.parametrize(("make_weights", "message"), REFUSED.values(), ids=REFUSED)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_changed(make_weights, message, mode):
    network = fresh()
    before = values(network)
    with pytest.raises(ValueError, match=message):
        transfer_weights(make_weights(), network, mode)
    for name, value in values(network).items():
        assert torch.equal(value, before[name]), name


def test_the_refusal_ends_with_the_remedy():
    with pytest.raises(ValueError, match="Do this instead$"):
        transfer_weights({}, fresh(), remedy="Do this instead")


# What fits in part


def test_a_convolution_that_the_file_lacks_is_left_and_named():
    name = "encoder.stages.0.0.convs.0.conv"
    network = fresh()
    before = values(network)
    report = transfer_weights(without(f"{name}.weight"), network)
    assert report.left[f"{name}.weight"] == "the file has no tensor for this place"
    # The file's convolution does not exist, so that its bias and norm are of no use.
    for part in (f"{name}.bias", "encoder.stages.0.0.convs.0.norm.weight"):
        assert torch.equal(values(network)[part], before[part]), part
        assert report.left[part].startswith("its convolution was left (the file has no tensor")


def test_stages_of_other_features_are_left_with_both_shapes_and_the_others_loaded():
    source, network = fresh(features_per_stage=[6, 8, 16, 16]), fresh()
    report = transfer_weights(source.state_dict(), network, "encoder_decoder")
    name = "encoder.stages.1.0.convs.0.conv.weight"
    (entry,) = [entry for entry in report.entries if entry.name == name]
    assert (entry.file_shape, entry.shape) == ((8, 6, 3, 3), (8, 4, 3, 3))
    assert entry.outcome == "left" and entry.reason == "another number of features"
    assert f"left: {name}: file (8, 6, 3, 3), network (8, 4, 3, 3): another number" in "\n".join(
        report.lines()
    )
    assert "encoder.stages.2.0.convs.0.conv.weight" in report.loaded
    assert "decoder.transpconvs.2.weight" in report.left


def test_a_file_with_fewer_convolutions_per_stage_leaves_the_others_named():
    source = fresh(n_conv_per_stage=[1, 1, 1, 1]).state_dict()
    report = transfer_weights(source, fresh())
    left = {name for name in report.left if name.startswith("encoder.")}
    assert left == {
        f"encoder.stages.1.0.convs.1.{part}"
        for part in ("conv.weight", "conv.bias", "norm.weight", "norm.bias")
    }


def test_a_file_with_more_convolutions_per_stage_names_what_is_not_used():
    source = fresh(n_conv_per_stage=[1, 3, 1, 1]).state_dict()
    report = transfer_weights(source, fresh())
    assert not any(name.startswith("encoder.") for name in report.left)
    assert report.unused["encoder.stages.1.0.convs.2.conv.weight"] == (8, 8, 3, 3)


def test_a_file_with_fewer_stages_leaves_the_deeper_ones_and_levels_keep_their_resolution():
    few = {"n_stages": 3, "features_per_stage": [4, 16, 16], "strides": [1, 2, 2]}
    few |= {"kernel_sizes": 3, "n_conv_per_stage": 1, "n_conv_per_stage_decoder": 1}
    more = {"n_stages": 4, "features_per_stage": [4, 16, 16, 16], "n_conv_per_stage": 1}
    more |= {"n_conv_per_stage_decoder": 1}
    source, network = fresh(**few, seed=5), fresh(**more)
    before, given = values(network), values(source)
    report = transfer_weights(source.state_dict(), network, "encoder_decoder")
    # The file's level 0 has the shape of the network's levels 0 and 1 and the place of level 1.
    name = "decoder.stages.{}.convs.0.conv.weight"
    now = values(network)
    assert torch.equal(now[name.format(1)], given[name.format(0)])
    assert torch.equal(now[name.format(0)], before[name.format(0)])
    assert {n.split(".")[2] for n in report.left if ".seg_layers." not in n} == {"0", "3"}


def test_a_network_without_encoder_is_refused():
    with pytest.raises(ValueError, match="has no encoder to load weights into; plan with one of"):
        transfer_weights(pretrained().state_dict(), nn.Conv2d(3, 4, 3))


def test_an_unknown_mode_is_refused_with_the_known_ones():
    network = fresh()
    before = values(network)
    with pytest.raises(ValueError, match="mode must be one of .*'encoder_decoder'.*got 'decoder'"):
        transfer_weights(pretrained().state_dict(), network, "decoder")
    assert all(torch.equal(value, before[name]) for name, value in values(network).items())


# Equivalence with the host


@every_architecture
@every_geometry
def test_nnu_nets_own_function_loads_the_portable_file(architecture, geometry, tmp_path, capsys):
    source = pretrained(architecture, geometry)
    write_weights(tmp_path / "pretrained_weights.pth", source.state_dict(), {"method": "PCRLv2"})
    network = fresh(architecture, geometry, num_classes=7)
    before, given = values(network), values(source)
    load_pretrained_weights(network, str(tmp_path / "pretrained_weights.pth"))
    for name, value in values(network).items():
        expected = before if ".seg_layers." in name else given
        assert torch.equal(value, expected[name]), name


def test_the_zero_skip_mode_gives_what_nnu_nets_own_function_gives(tmp_path, capsys):
    path = tmp_path / "pretrained_weights.pth"
    write_weights(path, pretrained().state_dict(), {})
    stock, ours = fresh(num_classes=7), fresh(num_classes=7)
    load_pretrained_weights(stock, str(path))
    transfer_weights(read_weights(path)["network_weights"], ours, "encoder_decoder_zero_skip")
    for name, value in values(ours).items():
        assert torch.equal(value, values(stock)[name]), name


@pytest.mark.parametrize("mode", ["encoder_decoder", "encoder_decoder_zero_skip"])
def test_a_decoder_that_was_not_trained_is_refused_in_one_sentence(mode):
    source, target = planned_network(seed=1), planned_network(seed=2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ValueError, match=f'"{mode}" needs a decoder, .* use "transfer": "encoder"'):
        transfer_weights(source.state_dict(), target, mode, decoder="none")
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
    assert transfer_weights(source.state_dict(), target, decoder="none").encoder_share() == 1


@pytest.mark.parametrize("geometry", ["2d", "3d", "anisotropic"])
@pytest.mark.parametrize("mode", ["encoder_decoder", "encoder_decoder_zero_skip"])
def test_a_decoder_trained_with_skips_is_loaded_with_both_halves(mode, geometry):
    source = shaken(planned_network(geometry=geometry, seed=1))
    first = source.decoder.stages[0].convs[0].conv
    with torch.no_grad():
        # Also where nothing reached it through the skip connections.
        first.weight[:, first.weight.shape[1] // 2 :] = 0
    target = shaken(planned_network(geometry=geometry, seed=2), 2)
    report = transfer_weights(source.state_dict(), target, mode, decoder="skips")
    assert not report.adapted
    for name, value in target.named_parameters():
        assert ".seg_layers." in name or torch.equal(value, source.get_parameter(name)), name
