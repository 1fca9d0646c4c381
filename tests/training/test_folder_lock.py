"""One training per result folder."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.trainers import MAEPretrainTrainer, PCRLv2FinetuneTrainer
from nnunetv2_pcrl.training.folder_lock import LOCK_NAME, ProcessLock, take_folder

HOLDER = """
import sys, time
from pathlib import Path
from nnunetv2_pcrl.training.folder_lock import take_folder
lock = take_folder(Path(sys.argv[1]))
print("taken", flush=True)
time.sleep(100)
"""
SETTINGS = {
    "batch_size": 2,
    "num_epochs": 1,
    "num_iterations_per_epoch": 1,
    "num_val_iterations_per_epoch": 1,
    "pictures_every": 0,
    "probe_every": 0,
}


@pytest.fixture
def holder(tmp_path):
    """Another process that trains into a folder."""
    folder = tmp_path / "taken"
    folder.mkdir()
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"taken\n"
    process.folder = folder
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def dataset(nnunet_folders, no_pictures):
    """Two 2D cases."""
    sections = {"pretraining": {**SETTINGS}, "finetune": {"from_scratch": True}}
    configurations = {"2d": configuration(2, nnunetv2_pcrl=sections)}
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", configurations)
    for number in range(2):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 4, 24, 24), number))
    return dataset


def test_a_folder_is_taken_once_and_given_back(tmp_path):
    lock = take_folder(tmp_path)
    with pytest.raises(ValueError, match=f"process {os.getpid()} on {socket.gethostname()}"):
        take_folder(tmp_path)
    lock.release()
    assert list(tmp_path.iterdir()) == []
    take_folder(tmp_path).release()


def test_the_lock_of_a_dead_process_is_taken_over_and_that_of_a_living_one_is_not(holder):
    with pytest.raises(
        ValueError, match=f"process {holder.pid} on .* trains into .*go on with --c"
    ):
        take_folder(holder.folder)
    holder.kill()
    holder.wait()
    assert (holder.folder / LOCK_NAME).exists()
    take_folder(holder.folder).release()


def test_a_lock_of_another_host_stays_and_the_message_says_what_to_remove(tmp_path):
    path = tmp_path / LOCK_NAME
    path.write_text("1234\nanother-host\n")
    with pytest.raises(ValueError, match="process 1234 on another-host") as error:
        take_folder(tmp_path)
    assert f"(if it is gone, remove {path})" in str(error.value)
    assert ProcessLock(tmp_path / "nobody").holder() is None


@pytest.mark.parametrize("trainer", [MAEPretrainTrainer, PCRLv2FinetuneTrainer])
def test_a_second_training_of_a_folder_ends_before_it_touches_anything(dataset, trainer):
    trainer = dataset.trainer(trainer, "2d")
    folder = Path(trainer.output_folder)
    lock = take_folder(folder)
    (folder / "checkpoint_latest.pth").write_bytes(b"of the other training")
    (folder / ".checkpoint_best.pth.1.tmp").write_bytes(b"half, as the other one writes it")
    with pytest.raises(ValueError, match="trains into"):
        trainer.run_training()
    assert (folder / "checkpoint_latest.pth").read_bytes() == b"of the other training"
    assert (folder / ".checkpoint_best.pth.1.tmp").exists()
    assert not list(folder.glob("previous_*"))
    lock.release()


def test_a_training_holds_the_folder_while_it_trains_and_not_afterwards(dataset):
    trainer = dataset.trainer(MAEPretrainTrainer, "2d")
    folder, seen = Path(trainer.output_folder), []
    on_epoch_end = trainer.on_epoch_end

    def look():
        seen.append((folder / LOCK_NAME).is_file())
        on_epoch_end()

    trainer.on_epoch_end = look
    trainer.run_training()
    assert seen == [True] and not (folder / LOCK_NAME).exists()


def test_a_training_that_fails_gives_the_folder_back(dataset):
    trainer = dataset.trainer(MAEPretrainTrainer, "2d")

    def fail():
        raise KeyError("a bug")

    trainer.on_epoch_end = fail
    with pytest.raises(KeyError, match="a bug"):
        trainer.run_training()
    assert not (Path(trainer.output_folder) / LOCK_NAME).exists()


def test_validation_is_not_kept_out_by_a_training(dataset):
    first = dataset.trainer(MAEPretrainTrainer, "2d")
    first.run_training()
    folder = Path(first.output_folder)
    lock = take_folder(folder)
    second = dataset.trainer(MAEPretrainTrainer, "2d")
    second.load_checkpoint(str(folder / "checkpoint_final.pth"))
    second.perform_actual_validation()
    lock.release()


def test_a_removed_folder_is_made_again_with_what_prediction_needs(dataset):
    dataset.plans["configurations"]["2d"]["nnunetv2_pcrl"]["pretraining"]["num_epochs"] = 3
    trainer = dataset.trainer(MAEPretrainTrainer, "2d")
    folder = Path(trainer.output_folder)
    on_epoch_start, locked = trainer.on_epoch_start, []

    def remove():
        if trainer.current_epoch == 1:
            remove_tree(folder.parent)
        on_epoch_start()

    def look(batch):
        locked.append((folder / LOCK_NAME).is_file())
        return train_step(batch)

    train_step = trainer.train_step
    trainer.on_epoch_start, trainer.train_step = remove, look
    trainer.run_training()
    log = "".join(file.read_text() for file in folder.glob("training_log*"))
    assert log.count(f"WARNING: {folder} was removed, and is made again") == 1
    assert locked == [True, True, True]
    for name in ("checkpoint_final.pth", "pretrained_weights.pth"):
        assert (folder / name).stat().st_size > 0
    for name in ("plans.json", "dataset.json"):
        assert (folder.parent / name).stat().st_size > 0


def remove_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
