"""Trainings in several processes, as torchrun starts them; two processes stand for two machines."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from launched import Fork, start_node, start_torchrun
from prepared_dataset import NAME, PreparedDataset, configuration, smooth_image
from ranks import free_port

from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.training.rank_watch import WAIT_VARIABLE

SETTINGS = {
    "batch_size": 5,
    "num_iterations_per_epoch": 2,
    "num_val_iterations_per_epoch": 1,
    "num_local": 2,
    "pictures_every": 0,
    "initial_lr": 0.01,
}


@pytest.fixture
def dataset(nnunet_folders, no_workers, monkeypatch):
    """Six 2D cases; the processes do not find one another's cores taken."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    settings = {"2d": configuration(2, nnunetv2_pcrl={"pcrlv2": SETTINGS})}
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", settings)
    for number in range(6):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 4, 24, 24), number))
    return dataset


def training(trainer: str, *more: str) -> list[str]:
    return [NAME, "2d", "all", "-tr", trainer, "-device", "cpu", *more]


@pytest.fixture
def start_both(tmp_path):
    """Starts a training on two machines."""

    def start(trainer: str, *more: str) -> list[Fork]:
        port, arguments = free_port(), training(trainer, *more)
        return [
            start_node(node, port, arguments, tmp_path / f"{node}{len(more)}.txt")
            for node in range(2)
        ]

    return start


@pytest.fixture
def start_two_ranks(tmp_path):
    """Starts a training by torchrun with two processes on this machine."""

    def start(trainer: str, *more: str) -> Fork:
        output = tmp_path / f"torchrun{len(more)}.txt"
        return start_torchrun(free_port(), training(trainer, *more), output)

    return start


def outputs_of(nodes: list[Fork], timeout_s: float = 300) -> list[str]:
    try:
        return [node.output(timeout_s) for node in nodes]
    finally:
        for node in nodes:
            # torchrun ends the processes that it has started.
            node.terminate()


def result(folders: Path, trainer: str) -> Path:
    return folders / "nnUNet_results" / NAME / f"{trainer}__nnUNetPlans__2d" / "fold_all"


def checkpoint(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_final.pth", weights_only=True)


@pytest.mark.slow
def test_two_machines_train_what_one_process_trains(dataset, nnunet_folders, start_both):
    name = "PCRLv2PretrainTrainer_2epochs"
    alone = dataset.trainer(trainer_named(name), "2d")
    alone.run_training()
    folder = result(nnunet_folders, name)
    expected = checkpoint(folder)

    nodes = start_both(name)
    outputs = outputs_of(nodes)
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert "2 processes share the comparison batch: [3, 2] images" in outputs[0]
    assert "Epoch 0" in outputs[0] and "Epoch 0" not in outputs[1]
    ours = checkpoint(folder)
    for key in ("train_losses", "val_losses", "train_local_comparison", "val_z_std_level_0"):
        assert ours["logging"][key] == pytest.approx(expected["logging"][key], abs=1e-4)
    for key, values in expected["network_weights"].items():
        torch.testing.assert_close(ours["network_weights"][key], values, rtol=1e-3, atol=1e-4)
    # The earlier result was moved aside by one of them, once.
    (kept,) = folder.glob("previous_*")
    assert (kept / "checkpoint_final.pth").is_file()


def wait_for(path: Path, timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while not path.is_file():
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.05)


def training_processes(node: Fork) -> list[int]:
    """The processes that torchrun started."""
    tasks = Path(f"/proc/{node.pid}/task").iterdir()
    return sorted(int(pid) for task in tasks for pid in (task / "children").read_text().split())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_a_rank_that_dies_ends_the_other_machine_and_sigterm_saves_on_both(
    dataset, nnunet_folders, start_both
):
    name = "PCRLv2PretrainTrainer_1000epochs"
    latest = result(nnunet_folders, name) / "checkpoint_latest.pth"
    nodes = start_both(name)
    try:
        wait_for(latest)
        os.kill(nodes[1].pid, signal.SIGKILL)
        outputs = outputs_of(nodes)
    finally:
        outputs_of(nodes, timeout_s=1)
    assert all(node.returncode for node in nodes)
    assert "Rank 0 lost the connection to another rank" in outputs[0]

    done = torch.load(latest, weights_only=True)["current_epoch"]
    written = latest.stat().st_mtime_ns
    nodes = start_both(name, "--c")
    try:
        while latest.stat().st_mtime_ns == written:
            time.sleep(0.05)
            assert all(node.poll() is None for node in nodes)
        # One machine is told; the step after which all of them stop is agreed upon.
        nodes[1].terminate()
        outputs = outputs_of(nodes)
    finally:
        outputs_of(nodes, timeout_s=1)
    assert "SIGTERM: stopped after step" in outputs[0]
    assert torch.load(latest, weights_only=True)["current_epoch"] > done


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_a_hung_rank_ends_the_others_and_sigterm_to_torchrun_saves(
    dataset, nnunet_folders, monkeypatch, start_two_ranks
):
    monkeypatch.setenv(WAIT_VARIABLE, "8")
    name = "PCRLv2PretrainTrainer_1000epochs"
    latest = result(nnunet_folders, name) / "checkpoint_latest.pth"
    node = start_two_ranks(name)
    try:
        wait_for(latest)
        stopped = training_processes(node)[1]
        os.kill(stopped, signal.SIGSTOP)
        (output,) = outputs_of([node])
    finally:
        outputs_of([node], timeout_s=1)
    assert node.returncode == 1
    assert (
        "epoch " in output.split("ERROR: rank 0, in step ")[1].split(", has waited for rank 1")[0]
    )
    assert "does not answer any more: stopped" in output and "go on with --c" in output
    assert not Path(f"/proc/{stopped}").exists()

    done = torch.load(latest, weights_only=True)["current_epoch"]
    written = latest.stat().st_mtime_ns
    node = start_two_ranks(name, "--c")
    try:
        while latest.stat().st_mtime_ns == written:
            time.sleep(0.05)
            assert node.poll() is None
        node.terminate()
        (output,) = outputs_of([node])
    finally:
        outputs_of([node], timeout_s=1)
    assert "SIGTERM: stopped after step" in output and "Go on with --c." in output
    assert torch.load(latest, weights_only=True)["current_epoch"] > done


@pytest.mark.parametrize(
    "arguments, local_rank, message",
    [
        (["-num_gpus", "2"], "0", "--nproc_per_node 2"),
        (["-device", "cpu"], None, "start this with torchrun"),
        (["-device", "mps"], "0", "-device mps cannot be used by several processes"),
        (["-device", "cuda"], "64", "local rank 64 has no GPU"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, local_rank, message, monkeypatch):
    from nnunetv2_pcrl import launch

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if local_rank is not None:
        monkeypatch.setenv("LOCAL_RANK", local_rank)
    monkeypatch.setattr(sys, "argv", ["launch", NAME, "2d", "all", *arguments])
    with pytest.raises(ValueError, match=message):
        launch.main()
