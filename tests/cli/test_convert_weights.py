"""nnUNetv2_pcrl_convert_weights: runs nothing unless told to trust, and writes what is safe."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from planned_networks import planned_network

from nnunetv2_pcrl.cli.convert_weights import main
from nnunetv2_pcrl.weights.reading import read_weights
from nnunetv2_pcrl.weights.sources import read_source


class RunsWhenUnpickled:
    """What an attacker puts into a file."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def unsafe(tmp_path) -> Path:
    """A checkpoint of another framework: harmless, but with objects in it."""
    content = {
        "state_dict": {f"net.{k}": v for k, v in planned_network().state_dict().items()},
        "hyper_parameters": Namespace(lr=1e-3),
        "optimizer_state": {"state": {}},
        "best": np.float32(0.5),
        "sizes": (np.int64(3), 4),
    }
    torch.save(content, tmp_path / "in.ckpt")
    return tmp_path / "in.ckpt"


def failure(*arguments) -> str:
    with pytest.raises(SystemExit, match="ERROR: ") as error:
        main([str(argument) for argument in arguments])
    return error.value.code


def test_without_trust_nothing_in_a_malicious_file_runs_and_nothing_is_written(tmp_path):
    path, output, marker = (tmp_path / name for name in ("in.pth", "out.pth", "it ran"))
    weights = planned_network().state_dict()
    torch.save({"network_weights": weights, "extra": RunsWhenUnpickled(marker)}, path)
    message = failure(path, output)
    assert "could run code when read; it is refused" in message and "--trust" in message
    assert not marker.exists() and not output.exists()
    main([str(path), str(output), "--trust"])
    assert marker.exists(), "the file of this test is harmless and shows nothing"
    assert read_source(output).num_input_channels == 1


def test_a_trusted_file_becomes_tensors_and_plain_values(unsafe, tmp_path, capsys):
    output = tmp_path / "out.pth"
    assert "argparse.Namespace" in failure(unsafe, output)
    main([str(unsafe), str(output), "--trust"])
    assert "left out, as no plain values: hyper_parameters" in capsys.readouterr().out
    content = torch.load(output, weights_only=True)
    assert content["best"] == 0.5 and content["sizes"] == [3, 4]
    assert content["hyper_parameters"] is None and "optimizer_state" not in content
    weights = read_source(output).weights
    for name, value in planned_network().state_dict().items():
        assert torch.equal(weights[name], value), name


def test_a_bare_state_dict_needs_no_trust(tmp_path):
    path, output = tmp_path / "in.pth", tmp_path / "out.pth"
    torch.save(planned_network("ResidualEncoderUNet").state_dict(), path)
    main([str(path), str(output)])
    assert "encoder.stem.convs.0.conv.weight" in read_weights(output)["network_weights"]


def test_what_cannot_be_converted_is_declined_with_the_reason(tmp_path):
    path, output = tmp_path / "in.pth", tmp_path / "out.pth"
    assert "there is no weights file" in failure(path, output)
    assert "there is no weights file" in failure(path, output, "--trust")
    path.write_text("text")
    assert "cannot be read: UnpicklingError" in failure(path, output, "--trust")
    torch.save({"epoch": 3}, path)
    assert "holds no network weights" in failure(path, output)
    torch.save({"model": {"conv.weight": torch.ones(2, 2, 3, 3)}}, path)
    assert "not those of a U-Net" in failure(path, output)
    assert "exists and is not replaced" in failure(path, path)
    assert "there is no folder" in failure(path, tmp_path / "missing/out.pth")
    torch.save({"opt": Namespace(), "state_dict": {"down_tr64.ops.0.a": torch.ones(1)}}, path)
    assert "network of PCRLv2's authors" in failure(path, output, "--trust")
    assert not output.exists()
