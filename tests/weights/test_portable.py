"""The portable file: plain content, never half-written, and nothing runs when it is read."""

import json
import os
import pickle
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from planned_networks import planned_network

from nnunetv2_pcrl.weights.file_names import WEIGHTS_FILE
from nnunetv2_pcrl.weights.fresh import fixed_seed
from nnunetv2_pcrl.weights.portable import (
    FRAMEWORK,
    citation_texts,
    citations_with,
    write_weights,
)
from nnunetv2_pcrl.weights.reading import read_weights

ABOUT = {
    "method": "PCRLv2",
    "citations": [FRAMEWORK],
    "settings": {"global_size": [16, 24], "initial_lr": 0.01, "seed": 0},
    "fold": "all",
    "nothing": None,
}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / WEIGHTS_FILE


def test_what_was_written_is_read(path):
    network = planned_network("ResidualEncoderUNet", "anisotropic", 2)
    write_weights(path, network.state_dict(), ABOUT)
    content = read_weights(path)
    weights = content.pop("network_weights")
    assert content == ABOUT
    assert list(weights) == list(network.state_dict())
    for name, value in network.state_dict().items():
        assert torch.equal(weights[name], value)
        assert not weights[name].requires_grad


def test_torch_reads_it_with_weights_only(path):
    # Trap 11.
    write_weights(path, planned_network().state_dict(), ABOUT)
    content = torch.load(path, weights_only=True)
    assert content["citations"] == [FRAMEWORK]


def test_parameters_are_written_without_their_graph(path):
    write_weights(path, dict(planned_network().named_parameters()), {})
    assert all(
        type(value) is torch.Tensor for value in read_weights(path)["network_weights"].values()
    )


def test_tensors_under_several_names_are_stored_once(path):
    network = planned_network(geometry="3d", features_per_stage=[16, 32, 64, 64])
    num_bytes = sum(p.numel() * p.element_size() for p in network.parameters())
    write_weights(path, network.state_dict(), {})
    assert path.stat().st_size < 1.1 * num_bytes


def test_equal_content_gives_equal_bytes_whatever_its_name_and_its_objects(tmp_path):
    weights = dict(planned_network().named_parameters())
    # Equal texts that are other objects, and tensors in other memory with axes in another order.
    copies = {
        name: value.to(memory_format=torch.channels_last) if value.ndim == 4 else value.clone()
        for name, value in weights.items()
    }
    assert any(value.stride() != weights[name].stride() for name, value in copies.items())
    contents = []
    for name, values in {"a.pth": weights, "a longer name.pth": weights, "b.pth": copies}.items():
        about = ABOUT if values is weights else json.loads(json.dumps(ABOUT))
        write_weights(tmp_path / name, values, about)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1] == contents[2]
    write_weights(tmp_path / "a.pth", weights, {**ABOUT, "fold": 0})
    assert (tmp_path / "a.pth").read_bytes() != contents[0]


def test_a_part_of_a_larger_tensor_is_written_without_the_rest(path):
    write_weights(path, {"a": torch.zeros(1_000_000)[:3]}, {})
    assert path.stat().st_size < 10_000
    assert read_weights(path)["network_weights"]["a"].tolist() == [0, 0, 0]


def test_another_decoder_than_the_known_ones_is_not_written(path):
    with pytest.raises(ValueError, match="decoder must be one of .*no_skips.* got 'half'"):
        write_weights(path, {"a": torch.ones(1)}, {"decoder": "half"})
    assert not path.exists()


def test_layers_that_no_file_brings_are_equal_whatever_was_drawn_before():
    outside, networks = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with fixed_seed():
            networks.append(torch.nn.Conv2d(3, 3, 3).weight)
        outside.append(torch.rand(1))
    assert torch.equal(*networks) and not torch.equal(*outside)
    torch.manual_seed(2)
    assert torch.equal(torch.rand(1), outside[1])
    with fixed_seed(1):
        assert not torch.equal(torch.nn.Conv2d(3, 3, 3).weight, networks[0])


def test_citations_are_those_of_the_method_and_of_nnu_net():
    method = {
        "type": "Methodology",
        "name": "MAE",
        "apa_citations": ["He"],
        "bibtex_citations": "@",
    }
    citations = citations_with([method])
    assert citations == [method, FRAMEWORK]
    assert citation_texts(citations) == ["He", "@", *FRAMEWORK["apa_citations"]]


def test_a_file_written_on_a_gpu_is_read_without_one(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save({"network_weights": {"a": torch.arange(3.0)}}, path)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(path, weights_only=True)
    weights = read_weights(path)["network_weights"]
    assert weights["a"].device.type == "cpu"
    assert torch.equal(weights["a"], torch.arange(3.0))


def test_the_old_file_is_kept_if_the_disk_is_full(path, monkeypatch):
    write_weights(path, {"a": torch.ones(3)}, {})

    def fail_midway(_content, file, *_args, **_options):
        file.write(b"half of a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail_midway)
    with pytest.raises(OSError, match="No space left"):
        write_weights(path, {"a": torch.zeros(3)}, {})
    assert torch.equal(read_weights(path)["network_weights"]["a"], torch.ones(3))
    assert os.listdir(path.parent) == [path.name]


class RunsWhenUnpickled:
    """What an attacker puts into a file."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_file_that_would_run_code_is_refused_and_nothing_runs(path):
    marker = path.with_name("it ran")
    content = {"network_weights": {"a": torch.ones(1)}, "extra": RunsWhenUnpickled(marker)}
    torch.save(content, path)
    with pytest.raises(ValueError, match="could run code when read; it is refused"):
        read_weights(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the file of this test is harmless and shows nothing"


@pytest.mark.parametrize("legacy", [False, True], ids=["pickle", "old PyTorch format"])
def test_a_bare_pickle_that_would_run_code_is_refused_and_nothing_runs(path, legacy):
    marker = path.with_name("it ran")
    content = {"network_weights": {"a": RunsWhenUnpickled(marker)}}
    if legacy:
        torch.save(content, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ValueError, match="not a complete PyTorch checkpoint|could run code"):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(-2), np.int64(7), np.bool_(True)])
def test_numbers_of_numpy_as_in_nnu_nets_checkpoints_are_read(path, number):
    torch.save({"network_weights": {"a": torch.ones(1)}, "best": number}, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert read_weights(path)["best"] == number


def test_a_number_of_numpy_that_is_an_object_is_refused(path):
    # numpy would unpickle such a value on its own, without PyTorch's restrictions.
    content = pickle.dumps({"network_weights": {}, "best": np.float64(0.5)}, protocol=2)
    assert b"f8" in content
    path.write_bytes(content.replace(b"f8", b"O8"))
    with pytest.raises(ValueError, match="could run code when read|not a complete"):
        read_weights(path)


AUTHORS = {
    "3D": ["down_tr64.ops.0.conv1.weight", "up_tr256.predictor_head.0.weight"],
    "2D": ["model.encoder.conv1.weight", "model.decoder.blocks.0.predictor_head.0.weight"],
}


@pytest.mark.parametrize("names", AUTHORS.values(), ids=AUTHORS)
@pytest.mark.parametrize("options", [None, Namespace(lr=1e-3)], ids=["plain", "with options"])
@pytest.mark.parametrize("new_format", [True, False], ids=["archive", "old format"])
def test_the_files_of_pcrlv2s_authors_are_declined_with_the_explanation(
    path, names, options, new_format
):
    content = {"opt": options, "state_dict": {n: torch.ones(2) for n in names}, "epoch": 240}
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(ValueError, match="network of PCRLv2's authors.*matches no network that"):
        read_weights(path)


@pytest.mark.parametrize("extra", [Path("somewhere"), np.zeros(2)], ids=["path", "array"])
def test_a_checkpoint_with_arbitrary_objects_is_refused_with_the_remedy(path, extra):
    torch.save({"network_weights": {"a": torch.ones(1)}, "extra": extra}, path)
    with pytest.raises(ValueError, match=f"values .*convert_weights .* --trust.*{WEIGHTS_FILE}"):
        read_weights(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_with_its_size(path, share):
    write_weights(path, planned_network().state_dict(), {})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    size = path.stat().st_size
    with pytest.raises(ValueError, match=rf"\({size} bytes\) is not a complete PyTorch checkpoint"):
        read_weights(path)


@pytest.mark.parametrize("text", ["", "hello", "{'network_weights': 1}", "\x80\x02."])
def test_a_text_file_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a complete PyTorch checkpoint"):
        read_weights(path)


def test_an_archive_of_something_else_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("document/content.xml", "<text/>")
    with pytest.raises(ValueError, match="is not a complete PyTorch checkpoint"):
        read_weights(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nothing.pth", tmp_path):
        with pytest.raises(ValueError, match="there is no weights file"):
            read_weights(path)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"a": torch.ones(1)}},
        {"network_weights": None},
        {"network_weights": {"a": 1.0}},
        {"network_weights": [torch.ones(1)]},
        [torch.ones(1)],
        torch.ones(1),
        {"network_weights": {}},
    ],
    ids=["state dict", "none", "number", "list", "bare list", "bare tensor", "empty"],
)
def test_a_file_without_network_weights_is_refused(path, content):
    torch.save(content, path)
    with pytest.raises(ValueError, match='PyTorch file without "network_weights"'):
        read_weights(path)
