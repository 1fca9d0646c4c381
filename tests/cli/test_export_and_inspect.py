"""nnUNetv2_pcrl_export and nnUNetv2_pcrl_inspect: a file for a given plan, and what it says."""

import json
import re
import subprocess
import sys

import pytest
import torch
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from planned_networks import pretraining_network
from prepared_dataset import NAME, configuration, plans
from torch import nn

from nnunetv2_pcrl.cli import export_weights, inspect_weights
from nnunetv2_pcrl.weights.remarks import remedy_for
from nnunetv2_pcrl.weights.sources import source_from


def three_stages(dim: int, architecture: str, **changes) -> dict:
    """A configuration whose first stages have the features of the pretrained networks."""
    values = configuration(dim, architecture)
    values["architecture"]["arch_kwargs"] |= {"features_per_stage": [4, 8, 16]} | changes
    return values


@pytest.fixture(params=["PlainConvUNet", "ResidualEncoderUNet"])
def architecture(request) -> str:
    return request.param


@pytest.fixture
def files(tmp_path, architecture):
    """A pretraining checkpoint of one channel, and plans of a target with four."""
    content = {
        "network_weights": pretraining_network(architecture, "3d", seed=1).state_dict(),
        "init_args": {
            "plans": plans({"3d_fullres": configuration(3, architecture)})
            | {"dataset_name": "Dataset001_Source"},
            "configuration": "3d_fullres",
            "dataset_json": {"channel_names": {"0": "CT"}},
        },
        "settings": {"num_epochs": 240},
        "current_epoch": 240,
        "method": "PCRLv2",
        "variants": ["comparisonOnly"],
        "decoder": "no_skips",
    }
    torch.save(content, tmp_path / "checkpoint.pth")
    target = plans(
        {name: three_stages(dim, architecture) for name, dim in (("3d_fullres", 3), ("2d", 2))}
    )
    for values in target["configurations"].values():
        values |= {
            "normalization_schemes": ["ZScoreNormalization"] * 4,
            "use_mask_for_norm": [False] * 4,
        }
    (tmp_path / "nnUNetPlans.json").write_text(json.dumps(target))
    names = {"0": "T1", "1": "T1ce", "2": "T2", "3": "FLAIR"}
    labels = {"background": 0, "tumour": 1}
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": names, "labels": labels}))
    return tmp_path


def run(files, *more, plans="nnUNetPlans.json") -> dict:
    output = files / "out.pth"
    arguments = ["-i", files / "checkpoint.pth", "-o", output, "--plans", files / plans, *more]
    export_weights.main([str(argument) for argument in arguments])
    return torch.load(output, weights_only=True)


def refusal(files, *more, **options) -> str:
    """What the command says when it ends without a file."""
    with pytest.raises(SystemExit, match="ERROR: ") as error:
        run(files, *more, **options)
    return error.value.code


def planned(content: dict, num_classes: int) -> nn.Module:
    """The network that nnU-Net builds for the target."""
    values = content["nnunet_plans"]["configurations"][content["configuration"]]["architecture"]
    return get_network_from_plans(
        values["network_class_name"],
        values["arch_kwargs"],
        values["_kw_requires_import"],
        4,
        num_classes,
        deep_supervision=True,
    )


@pytest.mark.parametrize("num_classes", [2, 7])
def test_stock_pretrained_weights_take_the_exported_file(files, num_classes, capsys):
    content = run(files)
    network = planned(content, num_classes)
    load_pretrained_weights(network, str(files / "out.pth"))
    assert not any(".seg_layers." in name for name in content["network_weights"])
    for name, value in network.state_dict().items():
        assert ".seg_layers." in name or torch.equal(value, content["network_weights"][name])
    assert "input channels 1 -> 4" in capsys.readouterr().out


def test_what_the_pretraining_lacks_is_initialised_equally_every_time(files, capsys):
    path = files / "nnUNetPlans.json"
    content = json.loads(path.read_text())
    kwargs = content["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    kwargs["n_conv_per_stage_decoder"] = [3, 3]
    path.write_text(json.dumps(content))
    first = run(files)["network_weights"]
    assert "left: decoder.stages.0.convs.2.conv.weight: file nothing" in capsys.readouterr().out
    (files / "out.pth").unlink()
    torch.rand(1)
    for name, value in run(files)["network_weights"].items():
        assert torch.equal(value, first[name]), name


def test_the_encoder_alone_is_written_on_demand(files):
    weights = run(files, "--encoder_only")["network_weights"]
    assert weights and all(name.startswith("encoder.") for name in weights)


def test_the_exported_file_carries_the_adaptation_plan_of_the_target(files):
    content = run(files)
    plan = content["nnssl_adaptation_plan"]
    assert plan["pretrain_num_input_channels"] == 4
    assert plan["architecture_plans"]["arch_kwargs"]["n_stages"] == 3
    for key in plan["keys_to_in_proj"]:
        assert content["network_weights"][f"{key}.weight"].shape[1] == 4


def test_it_still_says_what_it_was_pretrained_on(files):
    source = source_from(run(files))
    assert (source.method, source.dataset_name) == ("PCRLv2", "Dataset001_Source")
    assert (source.epochs_done, source.num_epochs) == (240, 240)
    assert source.channel_names == ("T1", "T1ce", "T2", "FLAIR")


def test_it_still_says_method_variants_and_decoder(files):
    source = source_from(run(files))
    assert (source.variants, source.decoder) == (("comparisonOnly",), "no_skips")


def test_a_decoder_that_was_not_trained_is_written_as_nnu_net_initialises_it(files, capsys):
    content = torch.load(files / "checkpoint.pth", weights_only=True)
    torch.save({**content, "decoder": "none"}, files / "checkpoint.pth")
    written = run(files)
    assert written["decoder"] == "none"
    assert "The pretraining trained no decoder: it is as nnU-Net" in capsys.readouterr().out
    network = planned(written, 2)
    load_pretrained_weights(network, str(files / "out.pth"))
    stored = content["network_weights"]["backbone.transpconvs.0.weight"]
    assert not torch.equal(written["network_weights"]["decoder.transpconvs.0.weight"], stored)


def test_a_file_without_its_decoder_says_so(files):
    assert run(files, "--encoder_only")["decoder"] == "none"


def test_another_dimension_needs_the_option(files):
    assert "3D network, the planned network is 2D" in refusal(files, "-c", "2d")
    assert (
        next(iter(run(files, "-c", "2d", "--other_dimension")["network_weights"].values())).ndim
        == 4
    )


@pytest.mark.parametrize(
    ("more", "plans", "message"),
    [
        (
            ["-c", "3d_lowres"],
            "nnUNetPlans.json",
            "no configuration 3d_lowres; choose one of 3d_fullres, 2d",
        ),
        ([], "nothing.json", "there is no plans file"),
        ([], "broken.json", "broken.json is no valid JSON file: Expecting"),
        ([], "list.json", "list.json holds a list in the place of {...}"),
        ([], "dataset.json", 'is no plans file of nnU-Net, as it has no "configurations"'),
    ],
)
def test_what_cannot_be_exported_is_declined(files, more, plans, message):
    (files / "broken.json").write_text("{")
    (files / "list.json").write_text("[1]")
    assert message in refusal(files, *more, plans=plans)


def test_no_file_is_replaced_and_no_folder_is_made(files):
    checkpoint = files / "checkpoint.pth"
    before = checkpoint.read_bytes()
    for output, message in (
        (checkpoint, "exists and is not replaced"),
        (files, "exists and is not replaced"),
        (files / "missing/out.pth", f"there is no folder {files / 'missing'}"),
    ):
        assert message in refusal(files, "-o", output)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("num_channels", [3, 5])
def test_a_dataset_json_of_another_data_set_is_declined(files, num_channels):
    names = {str(i): f"channel{i}" for i in range(num_channels)}
    (files / "dataset.json").write_text(json.dumps({"channel_names": names, "labels": {}}))
    message = f"dataset.json names {num_channels} channels, channel0, .*the plans normalise 4"
    assert re.search(message, refusal(files))


def test_a_cascade_needs_its_labels_and_starts_them_at_zero(files):
    content = json.loads((files / "nnUNetPlans.json").read_text())
    content["configurations"] |= {
        "3d_lowres": {"inherits_from": "3d_fullres", "next_stage": "cascade"},
        "cascade": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
    }
    (files / "nnUNetPlans.json").write_text(json.dumps(content))
    weights = run(files, "-c", "cascade")["network_weights"]
    stem = next(v for k, v in weights.items() if v.ndim == 5)
    assert stem.shape[1] == 5 and stem[:, :4].any() and not stem[:, 4:].any()
    (files / "dataset.json").unlink()
    (files / "out.pth").unlink()
    assert "one more input channel per label" in refusal(files, "-c", "cascade")


def test_the_remedy_for_an_exported_file_names_plans_that_exist(files):
    source = source_from(run(files))
    remedy = remedy_for(source, "Dataset002_Other", "3d_fullres", "P")
    assert f"-s {NAME} -t Dataset002_Other -sp nnUNetPlans" in remedy


def test_without_plans_those_in_the_file_are_taken_or_asked_for(tmp_path):
    path, output = tmp_path / "in.pth", tmp_path / "out.pth"
    torch.save({"network_weights": pretraining_network().state_dict()}, path)
    with pytest.raises(SystemExit, match="name those of the target with --plans"):
        export_weights.main(["-i", str(path), "-o", str(output)])


def test_inspect_prints_what_the_file_holds(files, capsys, architecture):
    inspect_weights.main([str(files / "checkpoint.pth")])
    text = capsys.readouterr().out
    for line in (
        r"pretraining checkpoint of nnunetv2_pcrl",
        "PCRLv2",
        "comparisonOnly",
        "its decoder was trained without skip connections",
        architecture,
        "Dataset001_Source",
        "1.0, 1.0, 1.0",
        "1 (CT)",
        "ZScoreNormalization",
        "240 of 240",
    ):
        assert f": {line}" in " ".join(text.split()), line


def test_inspect_prints_citations_and_declines_what_is_no_checkpoint(tmp_path, capsys):
    path = tmp_path / "weights.pth"
    citations = [
        {"type": "Methodology", "name": "MAE", "apa_citations": ["He, K. (2022)."]},
        {"name": "nnssl", "apa_citations": None, "bibtex_citations": "@article{wald}"},
    ]
    weights = pretraining_network().backbone.state_dict()
    torch.save({"network_weights": weights, "citations": citations, "nnunet_plans": {}}, path)
    inspect_weights.main([str(path)])
    text = capsys.readouterr().out
    assert "cite (MAE): He, K. (2022).\ncite (nnssl): @article{wald}\n" in text
    path.write_text("text")
    with pytest.raises(SystemExit, match="is not a complete PyTorch checkpoint"):
        inspect_weights.main([str(path)])


@pytest.mark.parametrize("command", ["export_weights", "inspect_weights", "convert_weights"])
def test_help_needs_no_pytorch(command):
    code = (
        f"import sys\nfrom nnunetv2_pcrl.cli.{command} import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'nnunetv2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
