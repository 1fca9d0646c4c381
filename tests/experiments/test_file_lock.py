import os
import subprocess
import sys
import time

from nnunetv2_pcrl.experiments.file_lock import try_lock

# Takes the lock, starts a process that inherits it, says so and waits.
HOLDER = """
import subprocess, sys, time
from pathlib import Path
from nnunetv2_pcrl.experiments.file_lock import try_lock
lock = try_lock(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "100"], pass_fds=(lock,), stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(100)
"""


def test_one_at_a_time_holds_a_lock(tmp_path):
    path = tmp_path / "lock"
    first = try_lock(path)
    assert try_lock(path) is None and try_lock(tmp_path / "other") is not None
    os.close(first)
    assert try_lock(path) is not None


def test_a_lock_ends_with_all_that_hold_it_even_if_they_are_killed(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE)
    child = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert try_lock(path) is None, "the child lives"
    os.kill(child, 9)
    deadline = time.monotonic() + 10
    while try_lock(path) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
