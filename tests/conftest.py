"""Helpers shared by the tests."""

import signal
from pathlib import Path

import blosc2
import numpy as np
import pytest
import torch

from nnunetv2_pcrl.training.termination import SIGNALS

# Jobs in the background of a shell, and under nohup, inherit ignored signals, which tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def signals_as_before():
    """Undoes what a training that is only begun notes of signals.

    Processes that are forked later would note them too, and not end when a pool ends them.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def generator() -> torch.Generator:
    """A random source that is the same in every run."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def write_case():
    """Writes a preprocessed image [C, D, H, W] in one of nnU-Net's formats, without a label."""

    def write(folder: Path, identifier: str, image: np.ndarray, file_format: str = "b2nd") -> Path:
        path = folder / f"{identifier}.{file_format}"
        if file_format == "b2nd":
            chunks = tuple(max(1, size // 2) for size in image.shape)
            blocks = tuple(max(1, size // 2) for size in chunks)
            blosc2.asarray(
                np.ascontiguousarray(image), urlpath=str(path), chunks=chunks, blocks=blocks
            )
        elif file_format == "npy":
            np.save(path, image)
        else:
            np.savez_compressed(path, data=image)
        return path

    return write


@pytest.fixture
def one_thread():
    """Runs torch on one thread: faster for small tensors where other processes want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_workers(monkeypatch):
    """Batches are made in the test's own process; nnU-Net's planning does not take that."""
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")


@pytest.fixture
def no_pictures(monkeypatch):
    """Pretrainings draw nothing, which takes longer than a tiny training does."""
    name = "nnunetv2_pcrl.training.pretrain_trainer.PretrainTrainer.plot_progress"
    monkeypatch.setattr(name, lambda trainer: None)


@pytest.fixture
def nnunet_folders(tmp_path, monkeypatch):
    """Empty nnUNet_raw, nnUNet_preprocessed and nnUNet_results; the folder that holds them."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("nnUNet_pcrl_weights", raising=False)
    return tmp_path
