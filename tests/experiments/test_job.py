"""Jobs of an experiment with a stand-in for nnUNetv2_train."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fake_training import FakeTraining, planned, pretraining, write_files

from nnunetv2_pcrl.experiments import job
from nnunetv2_pcrl.experiments.commands import TrainingOptions
from nnunetv2_pcrl.experiments.file_lock import try_lock
from nnunetv2_pcrl.experiments.job import LOCK_NAME, is_running, run_job, train_program
from nnunetv2_pcrl.experiments.runs import State
from nnunetv2_pcrl.experiments.trainings import Training

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Snakemake 9 and its jobs need Python 3.11"
)
FINAL, SUMMARY = "checkpoint_final.pth", "validation/summary.json"


@pytest.fixture
def fake(nnunet_folders, monkeypatch) -> FakeTraining:
    monkeypatch.setattr(job, "POLL_S", 0.01)
    return FakeTraining(nnunet_folders, monkeypatch)


def training(fake: FakeTraining, run=None, device: str = "cpu", num_gpus: int = 1) -> Training:
    return Training(run or planned("A", 5), TrainingOptions(fake.results, device, num_gpus))


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_training_starts_from_its_weights_and_leaves_a_log(fake, tmp_path):
    tuned = training(fake, planned("B", 5, pretraining().run))
    log = tmp_path / "logs" / "some.log"
    assert run_job(tuned, log) == 0 and tuned.state is State.FINISHED
    weights = pretraining().run.folder(fake.results) / "pretrained_weights.pth"
    ((arguments, used),) = fake.arguments("B 5")
    assert used == str(weights)
    assert " ".join(arguments) == "Dataset999_Fake 2d 5 -tr B -p nnUNetPlans -device cpu"
    assert "this is B 5" in log.read_text() and f"nnUNet_pcrl_weights={weights}" in log.read_text()


@pytest.mark.parametrize(
    ("run", "files", "flag"),
    [
        (planned("A", 5), ["checkpoint_latest.pth"], "--c"),
        (planned("A", 5), ["checkpoint_best.pth"], "--c"),
        (planned("A", 5), [FINAL], "--val"),
        (pretraining(), ["checkpoint_latest.pth"], "--c"),
    ],
)
def test_an_interrupted_training_goes_on(fake, tmp_path, run, files, flag):
    write_files(fake.results, run, files)
    assert run_job(training(fake, run), tmp_path / "log") == 0
    assert fake.arguments(f"{run.run.trainer} {run.run.fold}")[0][0][-1] == flag


def test_a_finished_training_is_not_repeated(fake, tmp_path):
    write_files(fake.results, planned("A", 5), [FINAL, SUMMARY])
    assert run_job(training(fake), tmp_path / "log") == 0
    assert fake.events() == [] and not (tmp_path / "log").exists()


def test_results_that_started_from_other_weights_are_refused(fake, tmp_path):
    write_files(fake.results, planned("B", 5, pretraining("all").run), ["checkpoint_best.pth"])
    with pytest.raises(ValueError, match="started from .*fold_all"):
        run_job(training(fake, planned("B", 5, pretraining().run)), tmp_path / "log")
    assert fake.events() == []


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [("fail", "exit status 3"), ("nothing", "it ended without its results")],
)
def test_a_failed_training_shows_its_last_lines_and_keeps_its_results(
    fake, tmp_path, capsys, behaviour, reason
):
    fake.behave(A__5=behaviour)
    folder = write_files(fake.results, planned("A", 5), ["checkpoint_best.pth"])
    (tmp_path / "log").write_text("an earlier start\n")
    assert run_job(training(fake), tmp_path / "log") == 1
    text = capsys.readouterr().err
    assert f"A, fold 5 (5 cases of fold 0, repeat 0) FAILED: {reason}, log: " in text
    assert "\n    this is A 5" in text and "an earlier start" not in text
    assert (folder / "checkpoint_best.pth").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_job_that_is_asked_to_end_ends_its_training(fake, tmp_path, number):
    handler = signal.getsignal(number)
    fake.behave(A__5="wait")

    def send() -> None:
        until(lambda: fake.says("A 5"))
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()
    assert run_job(training(fake), tmp_path / "log") == 128 + number
    assert fake.events() == [("begin", "A 5"), ("stopped", "A 5")]
    assert training(fake).state is State.INTERRUPTED
    assert signal.getsignal(number) is handler
    assert not is_running(training(fake))


def test_a_training_that_was_ended_leaves_no_lock_that_another_machine_would_believe(
    fake, tmp_path
):
    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = write_files(fake.results, planned("A", 5), ["checkpoint_best.pth"])
    (folder / "training.lock").write_text(f"{ended.pid}\n{socket.gethostname()}\n")
    assert run_job(training(fake), tmp_path / "log") == 0
    assert not (folder / "training.lock").exists()
    (folder / "training.lock").write_text("1\nanother-host\n")
    (folder / "checkpoint_final.pth").unlink()
    assert run_job(training(fake), tmp_path / "log") == 0
    assert (folder / "training.lock").exists()


def test_a_training_that_does_not_end_is_killed(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "PATIENCE_S", 0.2)
    fake.behave(A__5="stay")

    def send() -> None:
        until(lambda: fake.says("A 5"))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send).start()
    assert run_job(training(fake), tmp_path / "log") == 143
    assert ("end", "A 5") not in fake.events() and not is_running(training(fake))


def test_a_training_that_runs_elsewhere_is_waited_for_and_not_repeated(fake, tmp_path, capsys):
    folder = write_files(fake.results, planned("A", 5), [FINAL])
    lock = try_lock(folder / LOCK_NAME)
    assert is_running(training(fake))

    def finish() -> None:
        write_files(fake.results, planned("A", 5), [SUMMARY])
        os.close(lock)

    timer = threading.Timer(0.3, finish)
    timer.start()
    assert run_job(training(fake), tmp_path / "log") == 0
    assert fake.events() == []
    assert capsys.readouterr().err.count("is run elsewhere: waiting for its end") == 1


def environment_of(fake: FakeTraining, tmp_path: Path, **options) -> dict[str, str]:
    """What the stand-in was started with."""
    assert run_job(training(fake, **options), tmp_path / "log") == 0
    return json.loads((training(fake).folder / "environment.json").read_text())


@pytest.mark.parametrize(("own", "exporters"), [(None, "1"), ("3", "3")])
def test_a_training_on_the_cpu_sees_one_core_and_exports_in_one_process(
    own, exporters, fake, tmp_path, monkeypatch
):
    if own is None:
        monkeypatch.delenv("nnUNet_def_n_proc", raising=False)
    else:
        monkeypatch.setenv("nnUNet_def_n_proc", own)
    fake.behave(A__5="environment")
    environment = environment_of(fake, tmp_path)
    assert environment["cores"] == 1
    assert environment["nnUNet_def_n_proc"] == exporters


def test_of_several_gpus_a_training_gets_a_free_one(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "lock_folder", lambda: tmp_path / "gpus")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    (tmp_path / "gpus").mkdir()
    lock = try_lock(tmp_path / "gpus" / "4.0")
    fake.behave(A__5="environment")
    environment = environment_of(fake, tmp_path, device="cuda")
    os.close(lock)
    assert environment["CUDA_VISIBLE_DEVICES"] == "7"
    assert environment["cores"] == os.cpu_count()


def test_all_gpus_that_there_are_stay_as_they_are(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    fake.behave(A__5="environment")
    environment = environment_of(fake, tmp_path, device="cuda", num_gpus=2)
    assert environment["CUDA_VISIBLE_DEVICES"] == "4,7"


def test_an_environment_without_nnunetv2_train_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ValueError, match="nnUNetv2_train is not on PATH"):
        train_program()
