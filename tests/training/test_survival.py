"""Runs that are killed, told to stop, or have no room left on the disk."""

import math
import multiprocessing
import os
import random
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.trainers import PCRLv2PretrainTrainer
from nnunetv2_pcrl.training import ssl_trainer
from nnunetv2_pcrl.weights.portable import write_weights
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = {
    "batch_size": 4,
    "num_iterations_per_epoch": 3,
    "num_val_iterations_per_epoch": 2,
    "num_local": 2,
    "initial_lr": 0.01,
    "pictures_every": 0,
}


@pytest.fixture
def make_dataset(nnunet_folders):
    """Makes four 2D cases, with settings of the pretraining."""

    def make(**settings) -> PreparedDataset:
        configurations = {
            "2d": configuration(2, nnunetv2_pcrl={"pcrlv2": {**SETTINGS, **settings}})
        }
        dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", configurations)
        for number in range(4):
            dataset.add_case("2d", f"case_{number}", smooth_image((1, 4, 24, 24), number))
        return dataset

    return make


def run(dataset: PreparedDataset, resume: bool) -> PCRLv2PretrainTrainer:
    """What nnUNetv2_train does, with --c if `resume`."""
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d", resume=resume)
    if resume:
        names = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")
        files = [Path(trainer.output_folder) / name for name in names]
        found = [str(file) for file in files if file.is_file()]
        if found:
            trainer.load_checkpoint(found[0])
    trainer.run_training()
    return trainer


def checkpoint(folder: Path, name: str) -> dict:
    return torch.load(folder / f"checkpoint_{name}.pth", weights_only=True)


def assert_same_run(interrupted: dict, whole: dict) -> None:
    for name, values in whole["network_weights"].items():
        assert torch.equal(interrupted["network_weights"][name], values), name
    # Times differ; the mean over the classes stands for them.
    left_out = ("data_wait_share", "images_per_second", "probe_dice_per_class")
    for name, values in whole["logging"].items():
        if "timestamps" not in name and name not in left_out:
            assert interrupted["logging"][name] == pytest.approx(values, nan_ok=True), name
    assert interrupted["current_epoch"] == whole["current_epoch"]


def stop_after(trainer: PCRLv2PretrainTrainer, steps: int, hook: str) -> None:
    """Sends SIGTERM to this process while that step of a phase is computed."""
    calls, compute = [], getattr(trainer, hook)

    def compute_and_signal(*args, **kwargs):
        calls.append(1)
        if len(calls) == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return compute(*args, **kwargs)

    setattr(trainer, hook, compute_and_signal)


@pytest.mark.parametrize(
    "hook, steps, epoch, done",
    [
        ("accumulate_gradients", 1, 0, 1),
        ("accumulate_gradients", 5, 1, 2),
        ("accumulate_gradients", 6, 1, 3),
        ("evaluate", 3, 1, 3),
    ],
)
def test_sigterm_saves_the_steps_of_the_epoch_and_resuming_is_exact(
    make_dataset, hook, steps, epoch, done
):
    dataset = make_dataset(num_epochs=3)
    trainer = run(dataset, resume=False)
    folder = Path(trainer.output_folder)
    whole = checkpoint(folder, "final")

    handler = signal.getsignal(signal.SIGTERM)
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    stop_after(trainer, steps, hook)
    try:
        with pytest.raises(SystemExit) as stopped:
            trainer.run_training()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert stopped.value.code == 143
    stopped_at = checkpoint(folder, "latest")
    assert stopped_at["current_epoch"] == epoch and len(stopped_at["epoch_outputs"]) == done
    log = "".join(file.read_text() for file in folder.glob("training_log*"))
    assert f"SIGTERM: stopped after step {done} of 3 of epoch {epoch}. Go on with --c." in log
    assert not (folder / "checkpoint_final.pth").exists()
    assert read_weights(folder / "pretrained_weights.pth")["epochs_done"] == epoch

    run(dataset, resume=True)
    assert_same_run(checkpoint(folder, "final"), whole)


def test_sigterm_does_again_what_it_did_when_the_training_is_over(make_dataset):
    handler = signal.getsignal(signal.SIGTERM)
    run(make_dataset(num_epochs=1), resume=False)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_workers_outlive_a_sigterm_to_every_process_of_a_job(make_dataset, monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", "2")
    dataset = make_dataset(num_epochs=2)
    before = set(multiprocessing.active_children())
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    calls, compute = [], trainer.accumulate_gradients

    def signal_workers(*args):
        calls.append(1)
        if len(calls) == 1:
            for worker in set(multiprocessing.active_children()) - before:
                # Not from their parent: a shell stands for the scheduler.
                os.system(f"kill -TERM {worker.pid}")
        return compute(*args)

    trainer.accumulate_gradients = signal_workers
    trainer.run_training()
    assert len(calls) == 6
    assert set(multiprocessing.active_children()) == before


def assert_every_file_opens(folder: Path, least_epochs: int) -> int:
    """The epochs that the best of the checkpoints for --c has behind it."""
    for file in folder.glob("checkpoint_*.pth"):
        content = torch.load(file, weights_only=True)
        lengths = {len(content["logging"][key]) for key in ("train_losses", "val_losses", "lrs")}
        assert lengths == {content["current_epoch"]}
    if (folder / "pretrained_weights.pth").exists():
        assert read_weights(folder / "pretrained_weights.pth")["epochs_done"] >= least_epochs
    if (folder / "checkpoint_final.pth").exists():
        return checkpoint(folder, "final")["current_epoch"]
    if (folder / "checkpoint_latest.pth").exists():
        return checkpoint(folder, "latest")["current_epoch"]
    return 0


@pytest.mark.slow
def test_twenty_kills_lose_no_finished_epoch_and_no_file(make_dataset):
    num_epochs = 60
    dataset = make_dataset(num_epochs=num_epochs)
    moments = random.Random(0)
    context = multiprocessing.get_context("fork")
    folder = Path(dataset.trainer(PCRLv2PretrainTrainer, "2d").output_folder)
    epochs_done, kills_while_saving, history = 0, 0, []
    for kill in range(20):
        process = context.Process(target=run, args=(dataset, kill > 0))
        process.start()
        deadline = time.monotonic() + 120
        # Half of the kills at any time after the first checkpoint, half while a file is written.
        while not any(folder.glob("checkpoint_latest*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.6))
        if kill % 2:
            while not (writing := any(folder.glob(".*.tmp"))) and time.monotonic() < deadline:
                pass
            kills_while_saving += writing
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        done = assert_every_file_opens(folder, epochs_done)
        assert done >= epochs_done
        if done:
            losses = checkpoint(folder, "latest")["logging"]["train_losses"]
            assert losses[: len(history)] == history
            history = losses
        epochs_done = done
    assert kills_while_saving >= 5 and 0 < epochs_done < num_epochs
    run(dataset, resume=True)
    final = checkpoint(folder, "final")
    assert final["current_epoch"] == num_epochs and not list(folder.glob(".*.tmp"))
    assert final["logging"]["train_losses"][: len(history)] == history
    assert all(map(math.isfinite, final["logging"]["train_losses"]))
    half_cosine = [0.005 * (1 + math.cos(math.pi * e / num_epochs)) for e in range(num_epochs)]
    assert final["logging"]["lrs"] == pytest.approx(half_cosine, abs=1e-5)


@pytest.fixture
def little_room():
    """Lets no file of this process grow beyond some bytes, as if the disk were full."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda num_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, unlimited[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def test_a_full_disk_leaves_the_old_checkpoints_and_training_goes_on(make_dataset, little_room):
    dataset = make_dataset(num_epochs=4)
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    on_epoch_end = trainer.on_epoch_end

    def fill_the_disk_in_the_second_epoch():
        little_room(20_000 if trainer.current_epoch == 1 else resource.RLIM_INFINITY)
        on_epoch_end()

    trainer.on_epoch_end = fill_the_disk_in_the_second_epoch
    trainer.plot_progress = lambda: None
    folder = Path(trainer.output_folder)
    seen, on_epoch_start = [], trainer.on_epoch_start

    def look():
        seen.append(assert_every_file_opens(folder, 0))
        on_epoch_start()

    trainer.on_epoch_start = look
    trainer.run_training()
    assert seen[:3] == [0, 1, 1] and checkpoint(folder, "final")["current_epoch"] == 4
    log = "".join(file.read_text() for file in folder.glob("training_log*"))
    assert "checkpoint_latest.pth could not be written, an earlier one stays as it is" in log


def test_a_last_checkpoint_that_cannot_be_written_is_an_error(make_dataset, little_room):
    dataset = make_dataset(num_epochs=2)
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    on_train_end = trainer.on_train_end

    def fill_the_disk():
        little_room(20_000)
        on_train_end()

    trainer.on_train_end = fill_the_disk
    folder = Path(trainer.output_folder)
    with pytest.raises((OSError, RuntimeError)):
        trainer.run_training()
    assert checkpoint(folder, "latest")["current_epoch"] == 2
    assert not (folder / "checkpoint_final.pth").exists() and not list(folder.glob(".*.tmp"))


def test_where_the_last_checkpoint_is_the_weights_are_the_last_ones_too(make_dataset, monkeypatch):
    trainer = make_dataset(num_epochs=2).trainer(PCRLv2PretrainTrainer, "2d")
    folder = Path(trainer.output_folder)

    def killed_before_the_last_file(path, *args):
        if trainer.current_epoch == 1 and (folder / "checkpoint_latest.pth").exists():
            raise KeyboardInterrupt
        write_weights(path, *args)

    monkeypatch.setattr(ssl_trainer, "write_weights", killed_before_the_last_file)
    with pytest.raises(KeyboardInterrupt):
        trainer.run_training()
    assert read_weights(folder / "pretrained_weights.pth")["epochs_done"] == 1
    assert not (folder / "checkpoint_final.pth").exists()
