import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from fake_training import planned

from nnunetv2_pcrl.experiments.locks import LOCK_FOLDER, RunLock

RUN = planned("A", 5).run
# Takes the lock, starts a training that inherits it, and says so.
HOLDER = """
import subprocess, sys, time
from pathlib import Path
from nnunetv2_pcrl.experiments.locks import RunLock
from nnunetv2_pcrl.experiments.runs import TrainingRun
lock = RunLock(TrainingRun("A", "nnUNetPlans", "2d", 5), Path(sys.argv[1]))
assert lock.acquire()
child = subprocess.Popen(["sleep", "100"], pass_fds=(lock.descriptor,), stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    """A process with a lock and a training; both end with the test."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    process.training = int(process.stdout.readline())
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    with suppress(ProcessLookupError):
        os.kill(process.training, signal.SIGKILL)


def can_take(results) -> bool:
    lock = RunLock(RUN, results)
    taken = lock.acquire()
    if taken:
        lock.release()
    return taken


def test_one_at_a_time_holds_a_lock_and_other_trainings_are_free(tmp_path):
    first, second = RunLock(RUN, tmp_path), RunLock(RUN, tmp_path)
    assert not first.is_held_elsewhere() and list(tmp_path.iterdir()) == []
    assert first.acquire() and not second.acquire() and second.is_held_elsewhere()
    assert RunLock(planned("A", 6).run, tmp_path).acquire()
    first.release()
    assert second.acquire()
    second.release()
    left = {path.name for path in (tmp_path / LOCK_FOLDER).iterdir()}
    assert not any("fold_5" in name for name in left)


def test_the_lock_of_a_dead_process_is_taken_over_once_its_training_has_ended(tmp_path, holder):
    assert not can_take(tmp_path)
    assert f"process {holder.pid} on " in RunLock(RUN, tmp_path).holder()
    holder.kill()
    holder.wait()
    assert not can_take(tmp_path), "the training lives"
    assert "left behind" in RunLock(RUN, tmp_path).holder()
    os.kill(holder.training, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not can_take(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_lock_of_another_host_stays_and_the_remedy_is_named(tmp_path):
    path = tmp_path / LOCK_FOLDER / "A__nnUNetPlans__2d__fold_5.lock"
    path.parent.mkdir()
    path.write_text("1234\nanother-host\n")
    assert not can_take(tmp_path)
    assert RunLock(RUN, tmp_path).holder() == (
        f"process 1234 on another-host (if it is gone, remove {path})"
    )
    path.unlink()
    assert can_take(tmp_path)
