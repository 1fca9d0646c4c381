"""nnUNetv2_pcrl_experiment through Snakemake, with stand-ins for nnUNetv2_train and for SLURM."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import resources
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from fake_experiment import prepare
from fake_slurm import FakeSlurm
from fake_training import DATASET, FakeTraining, planned, pretraining, write_files

from nnunetv2_pcrl import experiments
from nnunetv2_pcrl.cli.experiment import main
from nnunetv2_pcrl.experiments.running import LOCK_NAME

pytest.importorskip("snakemake", reason="Snakemake 9 needs Python 3.11")
psutil = pytest.importorskip("psutil", reason="Snakemake needs it too")

pytestmark = pytest.mark.slow

SECOND = "Dataset998_Second"
SCRATCH, TUNED, PRETRAIN = (
    "nnUNetTrainer_5epochs",
    "PCRLv2FinetuneTrainer_5epochs",
    "PCRLv2PretrainTrainer",
)
ALL_BUT_ONE = [
    planned(TUNED, 5, pretraining().run),
    planned(SCRATCH, 6),
    planned(TUNED, 6, pretraining().run),
]
ALL = [f"{SCRATCH} 5", f"{PRETRAIN} 0", f"{TUNED} 5", f"{SCRATCH} 6", f"{TUNED} 6"]
FINISHED = ["checkpoint_final.pth", "validation/summary.json"]


@pytest.fixture
def fake(nnunet_folders, monkeypatch) -> FakeTraining:
    """Two data sets with plans and two label folds each, and the stand-in."""
    for name in (DATASET, SECOND):
        prepare(nnunet_folders / "nnUNet_preprocessed", name)
    return FakeTraining(nnunet_folders, monkeypatch)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Of the experiment."""
    return tmp_path / "experiment"


def arguments(folder: Path, *more: str, data_sets=("999",)) -> list[str]:
    start = ["-d", *data_sets, "-c", "2d", "-device", "cpu", "-o", str(folder), "--budget", "5"]
    start += ["--seeds", "none"]
    return [*start, "--trainers", "nnUNetTrainer", "PCRLv2FinetuneTrainer", *more]


def run(folder: Path, *more: str, expected: int = 0, **options) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments(folder, *more, **options))
    assert ended.value.code == expected


def started(folder: Path) -> BaseProcess:
    """The command in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=main, args=(arguments(folder),))
    process.start()
    return process


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begun(fake: FakeTraining) -> list[str]:
    return [name for event, name in fake.events() if event == "begin"]


def result(fake: FakeTraining, trainer: str, fold: int) -> Path:
    return fake.results / f"{trainer}__nnUNetPlans__2d" / f"fold_{fold}"


def snakemake(folder: Path) -> int:
    """Number of the process."""
    return int((folder / LOCK_NAME).read_text().split("\n")[0])


def by_hand(folder: Path) -> subprocess.CompletedProcess:
    """What a person types, who knows Snakemake."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_everything_runs_once_in_the_order_of_the_grid(fake, folder, capfd):
    run(folder)
    assert fake.events() == [(event, name) for name in ALL for event in ("begin", "end")]
    out, err = capfd.readouterr()
    assert f"{DATASET}, 2d, nnUNetPlans: trainers 2 x label folds 2, pretrainings 1" in out
    assert out.endswith(
        f"\n  nnUNetv2_pcrl_compare -d 999 -c 2d -p nnUNetPlans --trainers {SCRATCH} {TUNED} "
        f"-o {folder}/comparison\n"
    )
    log = f"logs/{DATASET}/{TUNED}__nnUNetPlans__2d/fold_6.log"
    name = f"{DATASET}: {TUNED}, fold 6 (5 cases of fold 0, repeat 1)"
    assert f"{name}, log: {log}" in err and "6 of 6 steps (100%) done" in err
    assert f"this is {TUNED} 6" in (folder / log).read_text()

    run(folder)
    assert len(fake.events()) == 10 and "1 of 1 steps (100%) done" in capfd.readouterr().err

    # A person may run it without us.
    shutil.rmtree(result(fake, SCRATCH, 6))
    assert by_hand(folder).returncode == 0
    assert begun(fake)[5:] == [f"{SCRATCH} 6"]


def test_two_data_sets_are_one_experiment(fake, folder, capfd):
    run(folder, "--jobs", "3", data_sets=["999", "998"])
    assert sorted(begun(fake)) == sorted([*ALL, *ALL])
    data_sets = [arguments[0] for arguments, _ in fake.arguments(f"{TUNED} 6")]
    assert sorted(data_sets) == [SECOND, DATASET]
    command = "nnUNetv2_pcrl_compare -d 999 998 -c 2d -p nnUNetPlans --trainers"
    assert command in capfd.readouterr().out


def test_what_was_trained_by_hand_counts_and_what_was_removed_is_trained_again(fake, folder):
    tuned = planned(TUNED, 5, pretraining().run)
    write_files(fake.results, planned(SCRATCH, 5), FINISHED)
    write_files(fake.results, planned(SCRATCH, 6), ["checkpoint_latest.pth"])
    write_files(fake.results, tuned, FINISHED)
    run(folder)
    assert begun(fake) == [f"{PRETRAIN} 0", f"{SCRATCH} 6", f"{TUNED} 6"]
    assert [words[-1] for words, _ in fake.arguments(f"{SCRATCH} 6")] == ["--c"]
    shutil.rmtree(result(fake, SCRATCH, 5))
    # Nobody has to load these weights any more.
    shutil.rmtree(result(fake, PRETRAIN, 0))
    run(folder)
    assert begun(fake)[3:] == [f"{SCRATCH} 5"]


def test_a_failed_training_keeps_its_results_and_what_does_not_need_it_goes_on(fake, folder, capfd):
    write_files(fake.results, planned(SCRATCH, 5), ["checkpoint_best.pth"])
    fake.behave(**{f"{SCRATCH}__5": "fail", f"{PRETRAIN}__0": "fail"})
    run(folder, expected=1)
    out, err = capfd.readouterr()
    assert "FAILED: exit status 3" in err and "\n    the last line\n" in err
    assert f"Not finished (4); the same command goes on:\n  {DATASET}: {SCRATCH}, fold 5" in out
    assert begun(fake) == [f"{SCRATCH} 5", f"{PRETRAIN} 0", f"{SCRATCH} 6"]
    assert (result(fake, SCRATCH, 5) / "checkpoint_best.pth").is_file()
    fake.behave()
    run(folder)
    assert begun(fake)[3:] == [name for name in ALL if name != f"{SCRATCH} 6"]


def test_an_interrupted_experiment_ends_its_trainings_and_goes_on_later(fake, folder, capfd):
    handler = signal.getsignal(signal.SIGINT)
    fake.behave(**{f"{SCRATCH}__5": "wait", f"{PRETRAIN}__0": "wait"})

    def send() -> None:
        until(lambda: fake.says(ALL[0]) and fake.says(ALL[1]))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send).start()
    run(folder, "--jobs", "2", expected=130)
    assert sorted(begun(fake)) == sorted(ALL[:2])
    assert {name for event, name in fake.events() if event == "stopped"} == set(ALL[:2])
    assert "Not finished (5); the same command goes on" in capfd.readouterr().out
    assert signal.getsignal(signal.SIGINT) is handler
    fake.behave()
    run(folder)
    assert [words[-1] for words, _ in fake.arguments(ALL[0])] == ["cpu", "--c"]
    assert [words[-1] for words, _ in fake.arguments(ALL[1])] == ["cpu", "--c"]


def test_a_killed_snakemake_leaves_neither_trainings_nor_locks(fake, folder):
    fake.behave(**{f"{SCRATCH}__5": "wait"})

    def kill() -> None:
        until(lambda: fake.says(ALL[0]))
        os.kill(snakemake(folder), signal.SIGKILL)

    threading.Thread(target=kill).start()
    run(folder, expected=137)
    assert fake.events() == [("begin", ALL[0]), ("stopped", ALL[0])]
    fake.behave()
    run(folder)
    assert begun(fake) == [ALL[0], *ALL]


def test_a_training_that_outlived_everything_is_waited_for(fake, folder, capfd):
    fake.behave(**{f"{SCRATCH}__5": "wait"})
    process = started(folder)
    until(lambda: fake.says(ALL[0]))
    children = psutil.Process(process.pid).children(recursive=True)
    training = next(child for child in children if fake.is_training(child.cmdline()))
    for killed in (psutil.Process(process.pid), *children):
        if killed.pid != training.pid:
            killed.kill()
    process.join()
    assert training.is_running()

    def finish() -> None:
        waiting = "run elsewhere: waiting for its end"
        until(lambda: waiting in "".join(texts) or texts.append(capfd.readouterr().err))
        fake.go_on()

    texts: list[str] = []
    threading.Thread(target=finish).start()
    run(folder)
    assert begun(fake) == ALL


def test_one_command_at_a_time_runs_a_folder_and_sigterm_ends_it(fake, folder):
    fake.behave(**{f"{SCRATCH}__5": "wait"})
    process = started(folder)
    until(lambda: fake.says(ALL[0]))
    with pytest.raises(SystemExit, match=rf"is running: process {snakemake(folder)} on "):
        main(arguments(folder))
    process.terminate()
    process.join()
    assert process.exitcode == 143
    assert fake.events() == [("begin", ALL[0]), ("stopped", ALL[0])]


def test_a_dry_run_runs_nothing_and_locks_that_a_person_left_are_no_obstacle(fake, folder, capfd):
    run(folder, "--dry_run")
    assert "Job 1:" in capfd.readouterr().out and fake.events() == []
    assert {"Snakefile", "config.json", "slurm"} <= {path.name for path in folder.iterdir()}
    locks = folder / ".snakemake" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    marker = f"finished/{DATASET}/{SCRATCH}__nnUNetPlans__2d/fold_5"
    (locks / "0.output.lock").write_text(f"{marker}\n")
    refused = by_hand(folder)
    assert refused.returncode and "cannot be locked" in refused.stderr
    for each in ALL_BUT_ONE:
        write_files(fake.results, each, FINISHED)
    run(folder)
    assert begun(fake) == ALL[:1]


def test_a_snakefile_of_others_is_not_run(fake, folder):
    folder.mkdir()
    (folder / "Snakefile").write_text("open('ran', 'w')\n")
    with pytest.raises(SystemExit, match="Snakefile is not the one that this version writes"):
        main(arguments(folder))
    assert not (folder / "ran").exists() and fake.events() == []


OF_SLURM = ("-device", "cuda", "--repeats", "1", "--slurm")


@pytest.fixture
def slurm(fake, folder, tmp_path, monkeypatch) -> FakeSlurm:
    """The stand-in, and a profile that does not wait."""
    slurm = FakeSlurm(tmp_path / "slurm", monkeypatch)
    text = resources.files(experiments).joinpath("slurm.yaml").read_text()
    text = text.replace("latency-wait: 120", "latency-wait: 5")
    text += "slurm-init-seconds-before-status-checks: 1\nseconds-between-status-checks: 1\n"
    (folder / "slurm").mkdir(parents=True)
    (folder / "slurm" / "config.yaml").write_text(text)
    return slurm


def test_slurm_runs_the_same_trainings_each_with_a_gpu(fake, slurm, folder, monkeypatch):
    run(folder, *OF_SLURM, "--dry_run")
    assert slurm.submitted() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    # A job takes seconds to start: a training, and one that waits for it.
    write_files(fake.results, planned(SCRATCH, 5), FINISHED)
    run(folder, *OF_SLURM)
    assert begun(fake) == [f"{PRETRAIN} 0", f"{TUNED} 5"]
    assert len(slurm.submitted()) == 2
    options = "-t 1440 --mem 48000 --cpus-per-task=12 --signal=TERM@120"
    assert all(options in text and " --gpus=1" in text for text in slurm.submitted())


def test_ctrl_c_ends_the_trainings_of_slurm_too(fake, slurm, folder):
    fake.behave(**{f"{SCRATCH}__5": "wait"})

    def send() -> None:
        until(lambda: fake.says(ALL[0]))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send).start()
    run(folder, *OF_SLURM, "--jobs", "1", expected=130)
    until(lambda: ("stopped", ALL[0]) in fake.events())
    assert begun(fake) == ALL[:1]
