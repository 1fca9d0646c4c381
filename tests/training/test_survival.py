"""Runs that are killed, told to stop, or have no room left on the disk."""

import multiprocessing
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.trainers import MAEPretrainTrainer, PCRLv2PretrainTrainer
from nnunetv2_pcrl.training import saved_run
from nnunetv2_pcrl.training.folder_lock import LOCK_NAME
from nnunetv2_pcrl.training.ssl_trainer import SSLTrainer
from nnunetv2_pcrl.training.termination import SIGNALS, TerminationNotice
from nnunetv2_pcrl.weights.portable import write_weights
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread", "no_pictures")

SETTINGS = {
    "batch_size": 4,
    "num_iterations_per_epoch": 3,
    "num_val_iterations_per_epoch": 2,
    "initial_lr": 0.01,
    "probe_every": 0,
}
OF_METHODS = {"pcrlv2": {"num_local": 2}, "mae": {}}


@pytest.fixture
def make_dataset(nnunet_folders):
    """Makes four 2D cases, with settings of the pretraining."""

    def make(**settings) -> PreparedDataset:
        sections = {"pretraining": {**SETTINGS, **settings}, **OF_METHODS}
        configurations = {"2d": configuration(2, nnunetv2_pcrl=sections)}
        dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", configurations)
        for number in range(4):
            dataset.add_case("2d", f"case_{number}", smooth_image((1, 4, 24, 24), number))
        return dataset

    return make


def run(
    dataset: PreparedDataset,
    resume: bool,
    kind: type = MAEPretrainTrainer,
    killed: "Moment | None" = None,
) -> SSLTrainer:
    """What nnUNetv2_train does, with --c if `resume`; killed at a moment."""
    trainer = dataset.trainer(kind, "2d", resume=resume)
    if killed is not None:
        killed.plant(trainer)
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


def stop_after(trainer: SSLTrainer, steps: int, hook: str, number: int = signal.SIGTERM) -> None:
    """Sends a signal to this process while that step of a phase is computed."""
    calls, compute = [], getattr(trainer, hook)

    def compute_and_signal(*args, **kwargs):
        calls.append(1)
        if len(calls) == steps:
            os.kill(os.getpid(), number)
        return compute(*args, **kwargs)

    setattr(trainer, hook, compute_and_signal)


@pytest.mark.parametrize(
    "kind, hook, steps, epoch, done",
    [
        (MAEPretrainTrainer, "accumulate_gradients", 1, 0, 1),
        pytest.param(
            PCRLv2PretrainTrainer, "accumulate_gradients", 5, 1, 2, marks=pytest.mark.slow
        ),
        pytest.param(MAEPretrainTrainer, "accumulate_gradients", 6, 1, 3, marks=pytest.mark.slow),
        pytest.param(PCRLv2PretrainTrainer, "evaluate", 3, 1, 3, marks=pytest.mark.slow),
    ],
)
def test_sigterm_saves_the_steps_of_the_epoch_and_resuming_is_exact(
    make_dataset, kind, hook, steps, epoch, done
):
    dataset = make_dataset(num_epochs=2)
    trainer = run(dataset, resume=False, kind=kind)
    folder = Path(trainer.output_folder)
    whole = checkpoint(folder, "final")

    trainer = dataset.trainer(kind, "2d")
    stop_after(trainer, steps, hook)
    with pytest.raises(SystemExit) as stopped:
        trainer.run_training()
    assert stopped.value.code == 143
    stopped_at = checkpoint(folder, "latest")
    assert stopped_at["current_epoch"] == epoch and len(stopped_at["epoch_outputs"]) == done
    log = "".join(file.read_text() for file in folder.glob("training_log*"))
    assert f"SIGTERM: stopped after step {done} of 3 of epoch {epoch}. Go on with --c." in log
    assert not (folder / "checkpoint_final.pth").exists()
    assert read_weights(folder / "pretrained_weights.pth")["epochs_done"] == epoch

    run(dataset, resume=True, kind=kind)
    assert_same_run(checkpoint(folder, "final"), whole)


def test_signals_do_again_what_they_did_when_the_training_is_over_or_has_failed(make_dataset):
    handlers = [signal.getsignal(number) for number in SIGNALS]
    dataset = make_dataset(num_epochs=1)
    run(dataset, resume=False)
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    trainer = dataset.trainer(MAEPretrainTrainer, "2d")
    trainer.on_epoch_end = lambda: handlers[len(handlers)]
    with pytest.raises(IndexError):
        trainer.run_training()
    assert [signal.getsignal(number) for number in SIGNALS] == handlers


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_ctrl_c_and_the_end_of_a_terminal_save_the_steps_too(make_dataset, number, status):
    trainer = make_dataset(num_epochs=2).trainer(MAEPretrainTrainer, "2d")
    stop_after(trainer, 2, "accumulate_gradients", number)
    with pytest.raises(SystemExit) as stopped:
        trainer.run_training()
    assert stopped.value.code == status
    folder = Path(trainer.output_folder)
    assert len(checkpoint(folder, "latest")["epoch_outputs"]) == 2
    log = "".join(file.read_text() for file in folder.glob("training_log*"))
    assert f"{number.name}: stopped after step 2 of 3 of epoch 0. Go on with --c." in log


def test_a_second_ctrl_c_interrupts_at_once_and_the_same_one_sent_twice_does_not():
    notice = TerminationNotice()
    notice.switch_on()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert notice.received == signal.SIGINT and notice.exit_status == 130
        notice._received_at -= 3
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        notice.switch_off()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_workers_outlive_a_signal_to_every_process_of_a_job(make_dataset, monkeypatch, name):
    monkeypatch.setenv("nnUNet_n_proc_DA", "2")
    dataset = make_dataset(num_epochs=2)
    before = set(multiprocessing.active_children())
    trainer = dataset.trainer(MAEPretrainTrainer, "2d")
    calls, compute = [], trainer.accumulate_gradients

    def signal_workers(*args):
        calls.append(1)
        if len(calls) == 1:
            for worker in set(multiprocessing.active_children()) - before:
                # Not from their parent: a shell stands for the scheduler.
                os.system(f"kill -{name} {worker.pid}")
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


@dataclass(frozen=True)
class Moment:
    """When a process kills itself.

    Attributes:
        what: a key of `_WHERE`.
        call: number of the call in that process, from 1.
        is_after: whether the work of the call is done first.
    """

    what: str
    call: int = 1
    is_after: bool = False

    def plant(self, trainer: SSLTrainer) -> None:
        owner, name = _WHERE[self.what]
        owner, calls = owner or trainer, []
        work = getattr(owner, name)

        def count() -> None:
            calls.append(1)
            if len(calls) == self.call:
                os.kill(os.getpid(), signal.SIGKILL)

        def work_and_die(*args, **kwargs):
            # Files of others are renamed too, as those of locks.
            is_counted = self.what != "file" or str(args[-1]).endswith(".pth")
            if is_counted and not self.is_after:
                count()
            result = work(*args, **kwargs)
            if is_counted and self.is_after:
                count()
            return result

        setattr(owner, name, work_and_die)


_WHERE = {
    "step": (None, "accumulate_gradients"),
    "validation": (None, "evaluate"),
    "file": (os, "replace"),
    "epoch": (None, "on_epoch_end"),
    "pictures": (None, "plot_progress"),
    "end": (None, "on_train_end"),
}
# An epoch ends with two files, or three if it is the best so far. A kill before the last of them
# repeats the epoch.
_FILES = [Moment("file", call, after) for call in (1, 2, 3) for after in (False, True)]
NUM_EPOCHS = 16
KILLS = [
    Moment("step"),
    Moment("validation"),
    *_FILES,
    Moment("step", 2),
    Moment("epoch"),
    *_FILES,
    Moment("pictures"),
    Moment("epoch", 2),
    *_FILES,
    Moment("validation", 2),
    Moment("end"),
]


def states_of(trainer: SSLTrainer) -> list[dict]:
    """Trains, and returns what checkpoint and weights were after every epoch."""
    folder, states = Path(trainer.output_folder), []
    on_epoch_end = trainer.on_epoch_end

    def remember():
        on_epoch_end()
        weights = (folder / "pretrained_weights.pth").read_bytes()
        states.append({**checkpoint(folder, "latest"), "portable": weights})

    trainer.on_epoch_end = remember
    trainer.run_training()
    return states


def best_of(states: list[dict]) -> dict:
    return min(states, key=lambda state: state["logging"]["val_losses"][-1])


def assert_same_weights(first: dict, second: dict) -> None:
    assert first["current_epoch"] == second["current_epoch"]
    assert first["_best_ema"] == second["_best_ema"]
    for name, values in second["network_weights"].items():
        assert torch.equal(first["network_weights"][name], values), name


def assert_nothing_is_lost(folder: Path, states: list[dict], least_epochs: int) -> int:
    """Finished epochs of the checkpoint that --c takes; all files are those of a run unkilled."""
    files = [folder / f"checkpoint_{name}.pth" for name in ("final", "latest", "best")]
    found = [torch.load(file, weights_only=True) for file in files if file.is_file()]
    if not found:
        assert least_epochs == 0
        return 0
    done = found[0]["current_epoch"]
    assert done >= least_epochs
    assert_same_weights(found[0], states[done - 1])
    # What comes before the checkpoint may be one epoch ahead of it.
    nearest = states[:done], states[: done + 1]
    best = checkpoint(folder, "best")
    assert best["current_epoch"] in {best_of(part)["current_epoch"] for part in nearest}
    assert_same_weights(best, states[best["current_epoch"] - 1])
    portable = folder / "pretrained_weights.pth"
    if portable.is_file():
        assert portable.read_bytes() in {part[-1]["portable"] for part in nearest}
    return done


@pytest.mark.slow
def test_no_kill_loses_an_epoch_the_best_one_or_a_file(make_dataset):
    assert len(KILLS) == 26
    dataset = make_dataset(num_epochs=NUM_EPOCHS, initial_lr=0.2)
    kind = MAEPretrainTrainer
    states = states_of(dataset.trainer(kind, "2d"))
    folder = Path(dataset.trainer(kind, "2d").output_folder)
    whole = {file.name: file.rename(folder.parent / file.name) for file in folder.glob("*.pth")}
    context = multiprocessing.get_context("fork")
    done = 0
    for moment in KILLS:
        process = context.Process(target=run, args=(dataset, True, kind, moment))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, moment
        done = assert_nothing_is_lost(folder, states, done)
    assert done == NUM_EPOCHS
    run(dataset, True, kind)
    for file in ("checkpoint_final.pth", "checkpoint_best.pth"):
        ours, expected = (
            torch.load(path, weights_only=True) for path in (folder / file, whole[file])
        )
        assert_same_weights(ours, expected)
        assert_same_run(ours, expected)
    portable = "pretrained_weights.pth"
    assert (folder / portable).read_bytes() == whole[portable].read_bytes()
    assert not list(folder.glob(".*.tmp")) and not (folder / LOCK_NAME).exists()


@pytest.fixture
def little_room():
    """Lets no file of this process grow beyond some bytes, as if the disk were full."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda num_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, unlimited[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_checkpoints_and_training_goes_on(make_dataset, little_room):
    dataset = make_dataset(num_epochs=4)
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    on_epoch_end = trainer.on_epoch_end

    def fill_the_disk_in_the_second_epoch():
        little_room(20_000 if trainer.current_epoch == 1 else resource.RLIM_INFINITY)
        on_epoch_end()

    trainer.on_epoch_end = fill_the_disk_in_the_second_epoch
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


@pytest.mark.slow
def test_a_last_checkpoint_that_cannot_be_written_is_an_error(make_dataset, little_room):
    dataset = make_dataset(num_epochs=2)
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    on_train_end = trainer.on_train_end

    def fill_the_disk():
        little_room(20_000)
        on_train_end()

    trainer.on_train_end = fill_the_disk
    folder = Path(trainer.output_folder)
    with pytest.raises(OSError, match="checkpoint_final.pth could not be written, .* with --c"):
        trainer.run_training()
    assert checkpoint(folder, "latest")["current_epoch"] == 2
    assert not (folder / "checkpoint_final.pth").exists() and not list(folder.glob(".*.tmp"))


def test_a_worker_that_dies_while_a_checkpoint_is_written_costs_no_epoch(make_dataset):
    trainer = make_dataset(num_epochs=3).trainer(MAEPretrainTrainer, "2d")
    folder = Path(trainer.output_folder)
    write, notices = trainer._write_checkpoint, []

    def notice_a_dead_worker(filename, is_epoch_finished):
        if trainer.current_epoch == 1 and filename.endswith("latest.pth") and not notices:
            notices.append(filename)
            # PyTorch raises it from a signal handler, wherever this process is.
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
        write(filename, is_epoch_finished)

    trainer._write_checkpoint = notice_a_dead_worker
    with pytest.raises(RuntimeError, match="is killed by signal"):
        trainer.run_training()
    assert checkpoint(folder, "latest")["current_epoch"] == 2
    assert read_weights(folder / "pretrained_weights.pth")["epochs_done"] == 2
    log = "".join(file.read_text() for file in folder.glob("training_log*"))
    assert "could not be written" not in log


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Caught MemoryError in DataLoader worker process 0.\nOriginal Traceback ..."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 20 GiB"),
    ],
    ids=["here", "in a worker", "on a GPU", "in PyTorch"],
)
def test_too_little_memory_is_answered_by_what_to_lower(make_dataset, error):
    trainer = make_dataset(num_epochs=1).trainer(MAEPretrainTrainer, "2d")

    def run_out(*_):
        raise error

    trainer.accumulate_gradients = run_out
    remedy = '(?s)not enough memory.*"views_at_a_time" or "batch_size".*nnUNet_n_proc_DA.*--c'
    with pytest.raises(RuntimeError, match=remedy) as raised:
        trainer.run_training()
    assert "\n" not in str(raised.value)


def test_where_the_last_checkpoint_is_the_weights_are_the_last_ones_too(make_dataset, monkeypatch):
    trainer = make_dataset(num_epochs=2).trainer(MAEPretrainTrainer, "2d")
    folder = Path(trainer.output_folder)

    def killed_before_the_last_file(path, *args):
        if trainer.current_epoch == 1 and (folder / "checkpoint_latest.pth").exists():
            raise KeyboardInterrupt
        write_weights(path, *args)

    monkeypatch.setattr(saved_run, "write_weights", killed_before_the_last_file)
    with pytest.raises(KeyboardInterrupt):
        trainer.run_training()
    assert read_weights(folder / "pretrained_weights.pth")["epochs_done"] == 1
    assert not (folder / "checkpoint_final.pth").exists()
