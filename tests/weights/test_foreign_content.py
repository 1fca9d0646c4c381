"""Whatever a file of others holds, the commands say in one line what is wrong with it."""

import copy
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from planned_networks import planned_network
from prepared_dataset import configuration, plans

from nnunetv2_pcrl.cli import convert_weights, export_weights, inspect_weights
from nnunetv2_pcrl.weights import reading
from nnunetv2_pcrl.weights.entries import printable, resolved_configuration
from nnunetv2_pcrl.weights.remarks import remedy_for
from nnunetv2_pcrl.weights.sources import source_from

# As `configuration` plans it.
NETWORK = planned_network(
    geometry="3d",
    n_stages=3,
    features_per_stage=[4, 8, 8],
    kernel_sizes=[[3, 3, 3]] * 3,
    strides=[[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    n_conv_per_stage=[1, 1, 1],
    n_conv_per_stage_decoder=[1, 1],
)
WEIGHTS = NETWORK.state_dict()
FIRST = "encoder.stages.0.0.convs.0.conv.weight"
NAMES_OF_FIRST = (FIRST, FIRST.replace("conv.weight", "all_modules.0.weight"))


def portable(**changes) -> dict:
    content = {
        "network_weights": WEIGHTS,
        "nnunet_plans": plans({"3d_fullres": configuration(3)}),
        "configuration": "3d_fullres",
    }
    return {**content, **changes}


def checkpoint(**changes) -> dict:
    arguments = {"plans": plans({"3d_fullres": configuration(3)}), "configuration": "3d_fullres"}
    return {"network_weights": WEIGHTS, "init_args": {**arguments, **changes}}


def nnssl(**changes) -> dict:
    return {"network_weights": WEIGHTS, "nnssl_adaptation_plan": changes}


def with_tensor(tensor: torch.Tensor) -> dict:
    return portable(network_weights={**WEIGHTS, **dict.fromkeys(NAMES_OF_FIRST, tensor)})


def with_plans(**changes) -> dict:
    values = {**configuration(3), **changes}
    return portable(nnunet_plans=plans({"3d_fullres": values}))


WRONG_ENTRIES = {
    "plans that are a text": portable(nnunet_plans="x"),
    "plans that are a list": portable(nnunet_plans=[1]),
    "plans of a checkpoint that are a number": checkpoint(plans=5),
    "configurations that are a text": portable(nnunet_plans={"configurations": "x"}),
    "a configuration that is a number": portable(nnunet_plans={"configurations": {"a": 3}}),
    "a data set that is a number": portable(nnunet_plans={"dataset_name": 5}),
    "the name of a configuration that is a list": portable(configuration=["3d_fullres"]),
    "a spacing that is a text": with_plans(spacing="1"),
    "a patch size of texts": with_plans(patch_size=["a", "b", "c"]),
    "an architecture that is a text": with_plans(architecture="torch.hub.load"),
    "a network name that is a list": with_plans(architecture={"network_class_name": []}),
    "channel names that are a number": portable(channel_names=5),
    "channel names without numbers": portable(channel_names={"first": "CT"}),
    "channel names that are numbers": portable(channel_names={"0": 1}),
    "channel names of a checkpoint that are a list": checkpoint(dataset_json={"modality": ["CT"]}),
    "a decoder and arguments that are texts": portable(init_args="x", decoder="x"),
    "a dataset.json that is a text": checkpoint(dataset_json="x"),
    "what it was pretrained on as a text": portable(pretrained_on="x"),
    "a method that is a number": portable(method=7),
    "variants that are numbers": portable(variants=[1, 2]),
    "another decoder": portable(decoder="all of it"),
    "epochs that are a text": portable(epochs_done="many"),
    "settings that are a list": {**checkpoint(), "settings": [1], "current_epoch": 3},
    "an epoch that is a list": {**checkpoint(), "current_epoch": [3]},
    "citations that are a number": portable(citations=5),
    "citations that are texts": portable(citations=["Zhou"]),
    "citations of numbers": portable(citations=[{"name": "a", "apa_citations": [5]}]),
    "an adaptation plan that is a text": {**nnssl(), "nnssl_adaptation_plan": "x"},
    "a key of nnssl that is a number": nnssl(key_to_encoder=5),
    "a pretraining plan that is a list": nnssl(pretrain_plan=[1]),
    "a transformer": nnssl(key_to_encoder="eva"),
    "configurations that inherit in a circle": portable(
        nnunet_plans={"configurations": {"3d_fullres": {"inherits_from": "3d_fullres"}}}
    ),
    "a sparse tensor": with_tensor(torch.eye(3).to_sparse()),
    "a tensor without values": with_tensor(torch.ones(3, device="meta")),
    "a tensor of one value repeated": with_tensor(torch.ones(1).expand(1000)),
    "an encoder of vectors": with_tensor(torch.ones(3)),
    "a tensor with a terminal's command as name": portable(
        network_weights={**WEIGHTS, "a\x1b[2J": torch.ones(1)}
    ),
    "a tensor with an endless name": portable(
        network_weights={**WEIGHTS, "a" * 10_000: torch.ones(1)}
    ),
    "no tensors": {"network_weights": {}},
    "tensors that are numbers": {"network_weights": {"a": 1.0}},
    "tensors named by numbers": {"network_weights": {1: torch.ones(1)}},
    "a list": [torch.ones(1)],
    "nothing": None,
    "a text": "weights",
}


def message_of(main, *arguments) -> str:
    """What a command says when it ends with an error that it knows."""
    with pytest.raises(SystemExit) as error:
        main([str(argument) for argument in arguments])
    return error.value.code


def assert_declined(path: Path, *commands: str) -> None:
    output = path.with_name("out.pth")
    mains = {
        "inspect": (inspect_weights.main, path),
        "export": (export_weights.main, "-i", path, "-o", output),
        "convert": (convert_weights.main, path, output),
        "convert --trust": (convert_weights.main, path, output, "--trust"),
    }
    for command in commands or mains:
        message = message_of(*mains[command])
        assert message.startswith(f"ERROR: {path}"), (command, message)
        assert "\n" not in message and len(message) < 1000, (command, message)
        assert not output.exists()


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize("content", WRONG_ENTRIES.values(), ids=WRONG_ENTRIES)
def test_entries_of_another_kind_are_declined_by_every_command(tmp_path, content):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    is_weightless = not isinstance(content, dict) or len(content) == 1
    commands = ("inspect", "export") if is_weightless else ("inspect", "export", "convert")
    assert_declined(path, *commands)


PLANS_LACK = [
    *("dataset_name", "plans_name", "image_reader_writer", "transpose_forward"),
    *("original_median_spacing_after_transp", "experiment_planner_used"),
]


@pytest.mark.parametrize("name", PLANS_LACK)
def test_plans_that_lack_an_entry_are_declined_with_its_name(tmp_path, name):
    content = copy.deepcopy(portable())
    del content["nnunet_plans"][name]
    torch.save(content, tmp_path / "weights.pth")
    assert_declined(tmp_path / "weights.pth", "export")
    assert name in message_of(
        export_weights.main, "-i", tmp_path / "weights.pth", "-o", tmp_path / "out.pth"
    )


@pytest.mark.parametrize("name", ["normalization_schemes", "data_identifier", "resampling_fn_seg"])
def test_a_configuration_that_lacks_an_entry_is_declined(tmp_path, name):
    content = copy.deepcopy(portable())
    del content["nnunet_plans"]["configurations"]["3d_fullres"][name]
    torch.save(content, tmp_path / "weights.pth")
    assert_declined(tmp_path / "weights.pth", "export")


def test_files_that_are_no_checkpoints_are_declined(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(portable(), path)
    whole = path.read_bytes()
    for share in (0, 0.3, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        assert_declined(path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    assert_declined(path, "inspect", "export", "convert")
    for content in (
        b"text",
        b"\x80\x02.",
        b"PK\x03\x04" + bytes(100),
        pickle.dumps({"a": 1}, protocol=2),
    ):
        path.write_bytes(content)
        assert_declined(path, "inspect", "export", "convert")


def test_a_small_file_that_unfolds_to_a_large_one_is_not_unfolded(tmp_path):
    path, packed = tmp_path / "weights.pth", tmp_path / "packed.pth"
    torch.save(portable(zeros=torch.zeros(1_000_000)), path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(packed, "w") as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name), zipfile.ZIP_DEFLATED)
    assert packed.stat().st_size < path.stat().st_size / 10
    assert_declined(packed, "inspect", "export", "convert")


def test_lists_in_lists_without_end_are_not_followed(tmp_path, monkeypatch):
    doubled: list = []
    for _ in range(40):
        doubled = [doubled, doubled]
    deep: list = []
    for _ in range(100):
        deep = [deep]
    endless: list = []
    endless.append(endless)
    # Enough for what checkpoints hold, and counted in seconds.
    monkeypatch.setattr(reading, "MAX_VALUES", 20_000)
    for value in (doubled, deep, endless):
        torch.save(portable(extra=value), tmp_path / "weights.pth")
        assert_declined(tmp_path / "weights.pth")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 9 bytes")])
def test_too_little_memory_is_called_so(tmp_path, monkeypatch, error):
    path = tmp_path / "weights.pth"
    torch.save(portable(), path)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(reading.torch, "load", fail)
    assert_declined(path, "inspect", "export", "convert")
    assert "needs more memory than this machine has" in message_of(inspect_weights.main, path)


def test_a_file_that_may_not_be_read_or_written_is_named(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save(portable(), path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "elsewhere")

    with monkeypatch.context() as patch:
        patch.setattr(reading.torch, "load", refuse)
        text = message_of(inspect_weights.main, path)
        assert text.startswith(f"ERROR: {path}: Permission denied; give yourself the permission")
    monkeypatch.setattr(torch, "save", refuse)
    for main, arguments in (
        (export_weights.main, ("-i", path, "-o", tmp_path / "out.pth")),
        (convert_weights.main, (path, tmp_path / "out.pth")),
    ):
        assert "Permission denied; give yourself the permission" in message_of(main, *arguments)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_called_so(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save(portable(), path)
    save = torch.save

    def save_there(content, file):
        with open("/dev/full", "wb") as full:
            save(content, full)

    monkeypatch.setattr(torch, "save", save_there)
    message = message_of(export_weights.main, "-i", path, "-o", tmp_path / "out.pth")
    assert message.startswith("ERROR: ") and "No space left on device" in message


def test_terminal_commands_in_texts_are_shown_as_what_they_are(tmp_path, capsys):
    path = tmp_path / "weights.pth"
    citations = [{"name": "a\x1b[31m", "apa_citations": "one\ntwo\x07"}]
    torch.save(portable(method="PCRL\x1b]0;title\x07\nv2", citations=citations), path)
    inspect_weights.main([str(path)])
    text = capsys.readouterr().out
    assert "\x1b" not in text and "\x07" not in text
    assert r"PCRL\x1b]0;title\x07 v2" in text
    assert "one\ntwo" in text
    assert printable("a\u202eb") == r"a\u202eb"


def test_names_of_a_file_are_quoted_in_commands():
    named = {**plans({"3d_fullres": configuration(3)}), "plans_name": "P; touch x"}
    source = source_from(portable(nnunet_plans={**named, "dataset_name": "D $(touch y)"}))
    remedy = remedy_for(source, "Dataset002_B", "3d_fullres", "nnUNetPlans")
    assert (
        "-s 'D $(touch y)' -t Dataset002_B -sp 'P; touch x' -tp 'P; touch x_pretrained'" in remedy
    )
    remedy = remedy_for(source, "Dataset002_Left heart", "my fullres", "it is mine")
    assert "nnUNetv2_train 'Dataset002_Left heart' 'my fullres' all" in remedy
    assert "-p 'it is mine'" in remedy
    assert "-t 'Dataset002_Left heart'" in remedy and "-c 'my fullres'" in remedy


def test_values_that_are_not_finite_are_told_by_inspect_and_convert(tmp_path, capsys):
    path = tmp_path / "weights.pth"
    torch.save(with_tensor(torch.full_like(WEIGHTS[FIRST], torch.nan)), path)
    inspect_weights.main([str(path)])
    convert_weights.main([str(path), str(tmp_path / "out.pth")])
    assert capsys.readouterr().out.count("WARNING: 2 of its tensors hold values that are not") == 2
    message = message_of(export_weights.main, "-i", path, "-o", tmp_path / "other.pth")
    assert "holds values that are not finite" in message


def test_inheritance_is_resolved_and_circles_are_named():
    values = {"a": {"x": 1, "y": 1}, "b": {"inherits_from": "a", "y": 2}}
    assert resolved_configuration({"configurations": values}, "b")["x"] == 1
    assert resolved_configuration({"configurations": values}, "b")["y"] == 2
    assert resolved_configuration({"configurations": values}, "c") == {}
    values["a"]["inherits_from"] = "b"
    with pytest.raises(ValueError, match="the configurations b, a of its plans inherit"):
        resolved_configuration({"configurations": values}, "b")


def test_arguments_that_nobody_needs_may_be_anything():
    source = source_from(portable(init_args="x"))
    assert source.dataset_json is None and source.plans["plans_name"] == "nnUNetPlans"
