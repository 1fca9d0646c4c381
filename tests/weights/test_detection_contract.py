"""What nnDetection's fine-tuning reads of our portable file, and that its encoder takes it.

Facts of the branch `finetuning` (docs/finetuning.md): it reads the file with weights_only=True,
builds dynamic_network_architectures' ResidualEncoder from `arch_kwargs`, cuts `key_to_stem` and
`key_to_encoder` off the names and loads both parts strictly. A stem for more channels is the
pretrained one repeated and divided by their number.
"""

import pydoc
import re
from pathlib import Path

import pytest
import torch
from dynamic_network_architectures.building_blocks.residual_encoders import ResidualEncoder
from planned_networks import GEOMETRIES, planned_network
from prepared_dataset import configuration, plans

from nnunetv2_pcrl.weights.adaptation_plan import build_adaptation_plan
from nnunetv2_pcrl.weights.portable import write_weights

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "detection.md"
VOLUMES = ("3d", "anisotropic")
# Read by name to build the encoder; the first three are looked up as Python objects.
ENCODER_KEYS = (
    "conv_op",
    "norm_op",
    "nonlin",
    "n_stages",
    "features_per_stage",
    "kernel_sizes",
    "strides",
    "n_blocks_per_stage",
    "conv_bias",
    "norm_op_kwargs",
    "dropout_op",
    "dropout_op_kwargs",
    "nonlin_kwargs",
)


@pytest.fixture(params=VOLUMES)
def portable(request, tmp_path):
    """The file as a pretraining of a residual encoder writes it, read as nnDetection reads it."""
    geometry = GEOMETRIES[request.param]
    network = planned_network("ResidualEncoderUNet", request.param, 1)
    described = configuration(3, "ResidualEncoderUNet")
    described["architecture"]["arch_kwargs"] |= {
        "n_stages": 4,
        "features_per_stage": [4, 8, 16, 16],
        "kernel_sizes": geometry.kernel_sizes,
        "strides": geometry.strides,
        "n_blocks_per_stage": [1, 2, 1, 1],
        "n_conv_per_stage_decoder": [2, 1, 2],
    }
    plan = build_adaptation_plan(
        plans({"3d_fullres": described}),
        described,
        "3d_fullres",
        1,
        network.key_to_encoder,
        network.key_to_stem,
        network.keys_to_in_proj,
    )
    path = tmp_path / "pretrained_weights.pth"
    write_weights(path, network.state_dict(), {"nnssl_adaptation_plan": plan})
    return network, torch.load(path, weights_only=True)


def encoder_of(plan: dict, num_channels: int) -> ResidualEncoder:
    kwargs = {key: plan["architecture_plans"]["arch_kwargs"][key] for key in ENCODER_KEYS}
    objects = {key: pydoc.locate(kwargs.pop(key)) for key in ENCODER_KEYS[:3]}
    assert None not in objects.values()
    return ResidualEncoder(input_channels=num_channels, return_skips=True, **objects, **kwargs)


def part_of(weights: dict, prefix: str) -> dict:
    """Tensors of a module by their names within it."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }


def test_every_key_that_is_read_is_there_with_its_type(portable):
    _, content = portable
    assert set(content) >= {"network_weights", "nnssl_adaptation_plan"}
    plan = content["nnssl_adaptation_plan"]
    assert type(plan["pretrain_num_input_channels"]) is int
    assert type(plan["key_to_stem"]) is type(plan["key_to_encoder"]) is str
    assert type(plan["keys_to_in_proj"]) is list
    architecture = plan["architecture_plans"]
    assert type(architecture["arch_class_name"]) is str
    # None would mean a preset of nnDetection's own, and only ResEncL is one.
    assert type(architecture["arch_kwargs"]) is dict
    assert set(architecture["arch_kwargs"]) >= set(ENCODER_KEYS)
    # It is passed on without being looked up.
    assert architecture["arch_kwargs"]["dropout_op"] is None
    (pretraining,) = plan["pretrain_plan"]["configurations"].values()
    assert len(pretraining["patch_size"]) == 3


def test_the_page_names_the_entries_that_are_read_and_what_stands_in_them(portable):
    _, content = portable
    text = PAGE.read_text(encoding="utf-8").partition("## What is read of the file")[2]
    named = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE))
    assert len(named) == 8
    found = {}
    for path in named:
        entry = content
        for key in path.split("."):
            entry = entry[key]
        found[path.rpartition(".")[2]] = entry
    for key in ("key_to_stem", "key_to_encoder", "arch_class_name"):
        (said,) = (text for path, text in named.items() if path.endswith(key))
        assert said.startswith(f"`{found[key]}`")


@pytest.mark.parametrize("num_channels", [1, 2])
def test_its_encoder_takes_all_pretrained_weights(portable, num_channels):
    network, content = portable
    plan, weights = content["nnssl_adaptation_plan"], content["network_weights"]
    encoder = encoder_of(plan, num_channels)
    stem = part_of(weights, plan["key_to_stem"])
    inputs = [name.removeprefix(f"{plan['key_to_stem']}.") for name in plan["keys_to_in_proj"]]
    if num_channels > plan["pretrain_num_input_channels"]:
        first = stem[f"{inputs[0]}.weight"].repeat(1, num_channels, 1, 1, 1) / num_channels
        stem |= {f"{name}.weight": first for name in inputs}
    encoder.stem.load_state_dict(stem, strict=True)
    encoder.stages.load_state_dict(part_of(weights, plan["key_to_encoder"]), strict=True)
    image = torch.randn(1, 1, 16, 16, 24)
    with torch.no_grad():
        # The same image in every channel gives what the pretrained encoder gives for one.
        found = encoder(image.repeat(1, num_channels, 1, 1, 1))
        expected = network.encoder(image)
    for level, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(level, reference, rtol=1e-4, atol=1e-5)


def test_a_plain_encoder_has_no_stem_of_its_own_which_nn_detection_needs():
    network = planned_network("PlainConvUNet", "3d", 1)
    assert network.key_to_stem.startswith(network.key_to_encoder)
