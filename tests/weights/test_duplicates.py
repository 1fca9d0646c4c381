"""Convolutions that a file holds twice, with different values, as nnssl's sparse trainers do."""

import json

import pytest
import torch
from planned_networks import planned_network
from prepared_dataset import configuration, plans

from nnunetv2_pcrl.cli import convert_weights, export_weights, inspect_weights
from nnunetv2_pcrl.weights.duplicates import as_trained
from nnunetv2_pcrl.weights.remarks import remarks_on
from nnunetv2_pcrl.weights.sources import read_source, source_from
from nnunetv2_pcrl.weights.transfer import transfer_weights

INITIAL, TRAINED = -1.0, 7.0
every_architecture = pytest.mark.parametrize(
    "architecture", ["PlainConvUNet", "ResidualEncoderUNet"]
)
every_geometry = pytest.mark.parametrize("geometry", ["2d", "3d", "anisotropic"])


def sparse_weights(architecture: str, geometry: str, **changes) -> dict[str, torch.Tensor]:
    """A state dict of an encoder that was made sparse module by module, and then trained."""
    weights = {}
    for name, value in planned_network(architecture, geometry, **changes).state_dict().items():
        is_second = ".all_modules." in name
        is_in_block = is_second or ".conv." in name or ".norm." in name
        is_in_encoder = name.startswith("encoder.") and is_in_block
        number = TRAINED if is_second else INITIAL
        weights[name] = torch.full_like(value, number) if is_in_encoder else value.clone()
    return weights


@every_architecture
@every_geometry
def test_what_was_trained_is_loaded(architecture, geometry):
    source = source_from({"network_weights": sparse_weights(architecture, geometry)})
    target = planned_network(architecture, geometry, seed=3)
    transfer_weights(source.weights, target)
    for name, parameter in target.encoder.named_parameters():
        assert (parameter == TRAINED).all(), name


def test_a_norm_is_found_behind_a_dropout():
    weights = {
        "a.conv.weight": torch.zeros(2),
        "a.norm.weight": torch.zeros(2),
        "a.all_modules.0.weight": torch.ones(2),
        "a.all_modules.2.weight": torch.full((2,), 2.0),
    }
    trained, changed = as_trained(weights)
    assert changed == ("a.conv.weight", "a.norm.weight")
    assert trained["a.conv.weight"].tolist() == [1, 1]
    assert trained["a.norm.weight"].tolist() == [2, 2]
    assert weights["a.conv.weight"].tolist() == [0, 0]


def test_an_activation_with_weights_is_no_norm():
    network = planned_network(nonlin=torch.nn.PReLU, nonlin_kwargs={})
    for parameter in network.parameters():
        parameter.data += 1
    weights = network.state_dict()
    assert any(name.endswith("all_modules.2.weight") for name in weights)
    trained, changed = as_trained(weights)
    assert changed == () and trained == weights
    target = planned_network(nonlin=torch.nn.PReLU, nonlin_kwargs={}, seed=3)
    report = transfer_weights(source_from({"network_weights": weights}).weights, target)
    assert all(entry.outcome != "left" for entry in report.entries if "encoder" in entry.name)
    # Behind a dropout and before an activation; of another shape it is somebody else's.
    block = {
        "a.norm.weight": torch.zeros(2),
        "a.all_modules.2.weight": torch.full((2,), 2.0),
        "a.all_modules.3.weight": torch.full((1,), 3.0),
        "b.norm.weight": torch.zeros(2),
        "b.all_modules.1.weight": torch.ones(1),
    }
    trained, changed = as_trained(block)
    assert changed == ("a.norm.weight",) and trained["a.norm.weight"].tolist() == [2, 2]


def test_equal_values_under_both_names_are_nothing_to_speak_of():
    weights = planned_network().state_dict()
    copies = {name: value.clone() for name, value in weights.items()}
    for state_dict in (weights, copies):
        trained, changed = as_trained(state_dict)
        assert changed == ()
        assert all(trained[name] is value for name, value in state_dict.items())


def test_the_log_says_which_values_are_taken():
    source = source_from({"network_weights": sparse_weights("PlainConvUNet", "2d")})
    remarks = "\n".join(remarks_on(source, "Dataset001_A", ["ZScoreNormalization"]))
    assert "those under all_modules were trained and are taken" in remarks
    plain = source_from({"network_weights": planned_network().state_dict()})
    assert "all_modules" not in "\n".join(remarks_on(plain, "Dataset001_A", []))


@pytest.fixture
def file(tmp_path):
    """A file with an encoder that was trained sparsely, and plans that it fits."""
    weights = sparse_weights(
        "ResidualEncoderUNet",
        "3d",
        n_stages=3,
        features_per_stage=[4, 8, 8],
        kernel_sizes=[[3, 3, 3]] * 3,
        strides=[[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        n_blocks_per_stage=[1, 1, 1],
        n_conv_per_stage_decoder=[1, 1],
    )
    torch.save({"network_weights": weights}, tmp_path / "s3d.pth")
    target = plans({"3d_fullres": configuration(3, "ResidualEncoderUNet")})
    (tmp_path / "nnUNetPlans.json").write_text(json.dumps(target))
    return tmp_path / "s3d.pth"


def assert_encoder_was_trained(path) -> None:
    weights = torch.load(path, weights_only=True)["network_weights"]
    encoder = {n: v for n, v in weights.items() if n.startswith("encoder.")}
    assert encoder and all((value == TRAINED).all() for value in encoder.values())


def test_an_exported_file_holds_what_was_trained(file, capsys):
    output, plans_file = file.with_name("out.pth"), file.with_name("nnUNetPlans.json")
    arguments = ["-i", file, "-o", output, "--plans", plans_file, "-c", "3d_fullres"]
    export_weights.main([str(argument) for argument in arguments])
    assert "those under all_modules were trained and are taken" in capsys.readouterr().out
    assert_encoder_was_trained(output)


def test_a_converted_file_holds_what_was_trained_under_both_names(file, capsys):
    output = file.with_name("out.pth")
    convert_weights.main([str(file), str(output)])
    assert "those under all_modules were trained and are taken" in capsys.readouterr().out
    assert_encoder_was_trained(output)
    assert read_source(output).untrained == ()


def test_inspect_says_that_two_names_differ(file, capsys):
    inspect_weights.main([str(file)])
    assert "those under all_modules were trained and are taken" in capsys.readouterr().out
