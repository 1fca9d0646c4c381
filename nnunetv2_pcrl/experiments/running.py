"""Runs the Snakefile of an experiment, and ends all its trainings when it is asked to end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nnunetv2_pcrl.experiments.file_lock import try_lock
from nnunetv2_pcrl.experiments.folder import SLURM_PROFILE, SNAKEFILE
from nnunetv2_pcrl.training.termination import TerminationNotice

SNAKEMAKE, SLURM_PLUGIN = "snakemake", "snakemake-executor-plugin-slurm"
LOCK_NAME = "running.lock"
POLL_S = 0.5
# A little more than a job waits for its training.
ORPHANS_S = 130.0
# Ours is the lock, which ends with its processes; only markers are judged, by their being there.
OPTIONS = [
    *("--nolock", "--rerun-incomplete", "--rerun-triggers", "mtime", "--keep-going"),
    # It needs no solver of linear programs.
    *("--scheduler", "greedy"),
    *("--quiet", "host", "reason"),
]


def check_installed(with_slurm: bool) -> None:
    """Says what is missing for an experiment to run.

    Raises:
        ValueError: if there is no Snakemake 9, or no plugin where one is needed.
    """
    found = _version(SNAKEMAKE)
    if found is None or int(found.split(".")[0]) != 9:
        raise ValueError(
            f"Experiments run through Snakemake 9, and here is {found or 'none'}. Install it with "
            f"pip install nnunetv2_pcrl[experiments] (Python 3.11 or newer), or print the commands "
            f"of the trainings with --print."
        )
    if with_slurm and _version(SLURM_PLUGIN) is None:
        raise ValueError(f"--slurm needs Snakemake's plugin for SLURM: pip install {SLURM_PLUGIN}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def snakemake_options(num_jobs: int | None, with_slurm: bool, is_dry: bool) -> list[str]:
    """Options of Snakemake.

    Args:
        num_jobs: trainings at a time; None is one, or what the profile for SLURM says.
        with_slurm: whether they are submitted to SLURM.
        is_dry: whether to show what would run only.
    """
    options = list(OPTIONS)
    if with_slurm:
        options += ["--profile", str(SLURM_PROFILE.parent)]
        options += ["--jobs", str(num_jobs)] if num_jobs else []
    else:
        options += ["--cores", str(num_jobs or 1)]
    return [*options, "--dry-run"] if is_dry else options


def run_snakemake(folder: Path, options: Sequence[str]) -> int:
    """Runs the Snakefile of a folder; a signal ends it with its trainings.

    Args:
        folder: as `write_folder` leaves it.
        options: of Snakemake.

    Returns:
        Exit status: 0 if nothing failed; what a shell reports for a signal that ended it.

    Raises:
        ValueError: if it runs already.
    """
    path = folder / LOCK_NAME
    lock = try_lock(path)
    if lock is None:
        raise ValueError(
            f"The experiment in {folder} is running: {_holder(path)}. Wait for its end, or end it "
            f"with its trainings first."
        )
    notice = TerminationNotice()
    notice.switch_on()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", SNAKEMAKE, "--snakefile", SNAKEFILE, *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            # Apart from the terminal, so that signals come once, through us.
            start_new_session=True,
            pass_fds=(lock,),
            preexec_fn=_listen_to_ctrl_c,
        )
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{process.pid}\n{socket.gethostname()}\n".encode(), 0)
        status = _wait(process, notice)
    finally:
        notice.switch_off()
        os.close(lock)
    if notice.received:
        return notice.exit_status
    # As a shell says it of a process that a signal ended.
    return status if status >= 0 else 128 - status


def _listen_to_ctrl_c() -> None:
    """In Snakemake before it starts: a shell's background jobs ignore the signal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait(process: subprocess.Popen, notice: TerminationNotice) -> int:
    is_asked = False
    while process.poll() is None:
        try:
            if notice.received and not is_asked:
                is_asked = True
                _interrupt(process)
                print(
                    "Stopping the trainings, which may save their state first; Ctrl-C again kills "
                    "them.",
                    file=sys.stderr,
                    flush=True,
                )
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
        except KeyboardInterrupt:
            _interrupt(process)
        except OSError:
            # The terminal is gone.
            continue
    _wait_for_orphans(process)
    return process.returncode


def _wait_for_orphans(process: subprocess.Popen) -> None:
    """Jobs outlive a Snakemake that was killed: they end their trainings now."""
    deadline = time.monotonic() + ORPHANS_S
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, signal.SIGINT)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(POLL_S)


def _interrupt(process: subprocess.Popen) -> None:
    """Ctrl-C for Snakemake and its jobs: these end their trainings, or those of SLURM are ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGINT)


def _holder(path: Path) -> str:
    try:
        process, host = path.read_text(encoding="utf-8").split("\n")[:2]
    except (OSError, ValueError):
        return "another command has just begun"
    return f"process {process} on {host} (kill -INT -- -{process} there is its Ctrl-C)"
