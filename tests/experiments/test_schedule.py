"""Experiments with a stand-in for nnUNetv2_train."""

import os
import signal
import threading
import time

import pytest
from fake_training import FakeTraining, planned, pretraining, write_files

from nnunetv2_pcrl.experiments.commands import TrainingOptions
from nnunetv2_pcrl.experiments.locks import RunLock
from nnunetv2_pcrl.experiments.processes import train_program
from nnunetv2_pcrl.experiments.progress import Progress
from nnunetv2_pcrl.experiments.schedule import Outcome, Schedule

SCRATCH = [planned("A", fold) for fold in (5, 6)]
TUNED = [planned("B", fold, pretraining().run) for fold in (5, 6)]
GRID = (SCRATCH[0], pretraining(), TUNED[0], SCRATCH[1], TUNED[1])
FINAL, SUMMARY = "checkpoint_final.pth", "validation/summary.json"
PRETRAINING = "PCRLv2PretrainTrainer 0"


@pytest.fixture
def fake(nnunet_folders, monkeypatch) -> FakeTraining:
    return FakeTraining(nnunet_folders, monkeypatch)


def run(fake: FakeTraining, grid=GRID, num_jobs: int = 1) -> Outcome:
    options = TrainingOptions("999", fake.results, "cpu")
    return Schedule(grid, options, num_jobs, poll_s=0.01).run()


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_everything_runs_once_in_the_order_of_the_grid(fake, capsys):
    assert run(fake) == Outcome()
    names = ["A 5", PRETRAINING, "B 5", "A 6", "B 6"]
    assert fake.events() == [(event, name) for name in names for event in ("begin", "end")]
    weights = pretraining().run.folder(fake.results) / "pretrained_weights.pth"
    ((arguments, used),) = fake.arguments("B 5")
    assert used == str(weights)
    assert " ".join(arguments) == "999 2d 5 -tr B -p nnUNetPlans -device cpu"
    assert fake.arguments("A 5")[0][1] is None
    log = TUNED[0].run.folder(fake.results) / "experiment.log"
    assert "this is B 5" in log.read_text() and f"nnUNet_pcrl_weights={weights}" in log.read_text()
    lines = capsys.readouterr().out.splitlines()
    name = "B, fold 5 (5 cases of fold 0, repeat 0)"
    assert f"[2 of 5 done] {name} started, log: {log}" in lines[4]
    assert f"[3 of 5 done] {name} finished in 0 s, about < 1 min left" in lines[5]

    assert run(fake) == Outcome()
    assert len(fake.events()) == 10 and capsys.readouterr().out == ""


def test_interrupted_trainings_go_on_and_missing_validations_are_made(fake):
    write_files(fake.results, SCRATCH[0], ["checkpoint_best.pth"])
    write_files(fake.results, TUNED[0], ["checkpoint_final.pth"])
    write_files(fake.results, pretraining(), ["checkpoint_latest.pth"])
    assert run(fake).exit_status == 0
    flags = {name: fake.arguments(name)[0][0][-1] for name in ("A 5", "B 5", PRETRAINING, "B 6")}
    assert flags == {"A 5": "--c", "B 5": "--val", PRETRAINING: "--c", "B 6": "cpu"}


def test_a_failed_training_is_shown_and_the_others_go_on(fake, capsys):
    fake.behave(A__5="fail", B__6="nothing")
    outcome = run(fake)
    assert outcome.exit_status == 1
    assert list(outcome.failed) == [SCRATCH[0], TUNED[1]]
    log = SCRATCH[0].run.folder(fake.results) / "experiment.log"
    assert outcome.failed[SCRATCH[0]] == f"exit status 3, log: {log}"
    assert "ended without its results" in outcome.failed[TUNED[1]]
    text = capsys.readouterr().out
    assert "FAILED: exit status 3" in text and "\n    this is A 5\n    the last line\n" in text
    assert "[3 of 5 done] B, fold 6" in text

    fake.behave()
    assert run(fake) == Outcome() and len(fake.arguments("A 5")) == 2


def test_trainings_whose_pretraining_failed_are_not_started(fake):
    fake.behave(PCRLv2PretrainTrainer__0="fail")
    outcome = run(fake)
    assert list(outcome.failed) == [pretraining(), *TUNED]
    assert "not started, its pretraining failed" in outcome.failed[TUNED[0]]
    assert {name for _, name in fake.events()} == {"A 5", "A 6", PRETRAINING}


def test_two_at_a_time_wait_for_the_pretraining_only(fake):
    fake.behave(PCRLv2PretrainTrainer__0="wait")
    checks = []

    def look() -> None:
        until(lambda: ("end", "A 6") in fake.events())
        checks.append("B 5" not in [name for _, name in fake.events()])
        fake.go_on()

    thread = threading.Thread(target=look)
    thread.start()
    assert run(fake, num_jobs=2).exit_status == 0
    thread.join()
    assert checks == [True] and len(fake.events()) == 10


def signal_during_the_first(fake: FakeTraining, number: int) -> None:
    """Sends a signal to this process once the first training has begun."""

    def wait_and_send() -> None:
        log = SCRATCH[0].run.folder(fake.results) / "experiment.log"
        until(lambda: log.is_file() and "this is A 5" in log.read_text())
        os.kill(os.getpid(), number)

    threading.Thread(target=wait_and_send).start()


@pytest.mark.parametrize(
    ("number", "exit_status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_experiment_ends_its_trainings_and_goes_on_later(fake, number, exit_status):
    handler = signal.getsignal(number)
    fake.behave(A__5="wait")
    signal_during_the_first(fake, number)
    outcome = run(fake)
    assert (outcome.exit_status, outcome.left, outcome.failed) == (exit_status, list(GRID), {})
    assert fake.events() == [("begin", "A 5"), ("stopped", "A 5")]
    assert signal.getsignal(number) is handler
    assert not RunLock(SCRATCH[0].run, fake.results).is_held_elsewhere()

    fake.behave()
    assert run(fake) == Outcome()
    assert [arguments[-1] for arguments, _ in fake.arguments("A 5")] == ["cpu", "--c"]


def test_trainings_end_too_where_the_terminal_is_gone(fake, monkeypatch):
    fake.behave(A__5="wait")
    signal_during_the_first(fake, signal.SIGHUP)
    tell = Progress.tell

    def to_a_terminal(progress: Progress, text: str) -> None:
        if text.startswith("stopping"):
            raise BrokenPipeError
        tell(progress, text)

    monkeypatch.setattr(Progress, "tell", to_a_terminal)
    with pytest.raises(BrokenPipeError):
        run(fake)
    until(lambda: ("stopped", "A 5") in fake.events())


def test_what_another_experiment_runs_is_left_to_it(fake):
    lock = RunLock(SCRATCH[0].run, fake.results)
    assert lock.acquire()
    outcome = run(fake)
    lock.release()
    assert outcome.exit_status == 0 and list(outcome.elsewhere) == [SCRATCH[0]]
    assert f"process {os.getpid()} on" in outcome.elsewhere[SCRATCH[0]]
    assert fake.arguments("A 5") == [] and len(fake.events()) == 8


def test_a_pretraining_that_another_experiment_runs_is_waited_for(fake, capsys):
    lock = RunLock(pretraining().run, fake.results)
    assert lock.acquire()

    printed = []

    def finish() -> None:
        until(lambda: printed.append(capsys.readouterr().out) or "waiting" in printed[-1])
        write_files(fake.results, pretraining(), ["checkpoint_final.pth", "pretrained_weights.pth"])
        lock.release()

    thread = threading.Thread(target=finish)
    thread.start()
    assert run(fake) == Outcome()
    thread.join()
    assert fake.arguments(PRETRAINING) == [] and len(fake.events()) == 8
    text = "".join([*printed, capsys.readouterr().out])
    assert text.count("waiting for PCRLv2PretrainTrainer, fold 0, which is run by process") == 1


def test_what_another_experiment_ran_with_other_weights_in_the_meantime_fails(fake):
    fake.behave(PCRLv2PretrainTrainer__0="wait")

    def finish() -> None:
        until(lambda: ("begin", PRETRAINING) in fake.events())
        write_files(fake.results, planned("B", 5, pretraining("all").run), [FINAL, SUMMARY])
        fake.go_on()

    thread = threading.Thread(target=finish)
    thread.start()
    outcome = run(fake)
    thread.join()
    assert list(outcome.failed) == [TUNED[0]]
    assert "started from" in outcome.failed[TUNED[0]] and fake.arguments("B 5") == []
    assert len(fake.arguments("B 6")) == 1


def test_two_experiments_share_the_work_and_run_nothing_twice(fake):
    grid = [planned("A", fold) for fold in range(5, 25)]
    other = threading.Thread(target=run, args=(fake, grid, 2))
    other.start()
    run(fake, grid, 2)
    other.join()
    begun = [name for event, name in fake.events() if event == "begin"]
    assert sorted(begun) == sorted(f"A {fold}" for fold in range(5, 25))


def test_an_environment_without_nnunetv2_train_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ValueError, match="nnUNetv2_train is not on PATH"):
        train_program()
