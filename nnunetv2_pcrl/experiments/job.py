"""One training of an experiment as a job of Snakemake.

    python -m nnunetv2_pcrl.experiments.job TRAINING LOG

It goes on where the training was stopped, is alone in the result folder, takes a free GPU, and ends
the training when it is asked to end.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from nnunetv2_pcrl.experiments import one_core
from nnunetv2_pcrl.experiments.commands import TRAIN_COMMAND, Command, command_of
from nnunetv2_pcrl.experiments.file_lock import try_lock
from nnunetv2_pcrl.experiments.gpus import VARIABLE, lock_folder, take_gpus, visible_gpus
from nnunetv2_pcrl.experiments.runs import State
from nnunetv2_pcrl.experiments.states import Job, check_weights
from nnunetv2_pcrl.experiments.trainings import Training
from nnunetv2_pcrl.experiments.workflow import Workflow
from nnunetv2_pcrl.settings.environment import PROCESSES_VARIABLE
from nnunetv2_pcrl.training.folder_lock import LOCK_NAME as TRAINING_LOCK
from nnunetv2_pcrl.training.folder_lock import ProcessLock
from nnunetv2_pcrl.training.termination import TerminationNotice

LOCK_NAME = "experiment.lock"
# A pretraining ends after its current step; one on a CPU may last.
PATIENCE_S = 120.0
POLL_S = 0.5
LINES_SHOWN = 15


def main() -> None:
    """Command line, in the folder of the experiment."""
    name, log = sys.argv[1:]
    try:
        sys.exit(run_job(Workflow.in_folder(".").training(name), Path(log)))
    except (ValueError, OSError) as error:
        sys.exit(f"{name}: {error}")


def run_job(training: Training, log: Path) -> int:
    """Runs what is left of a training, and says on standard error why it failed.

    Args:
        training: of an experiment.
        log: file that is appended to.

    Returns:
        Exit status, 0 if the training is finished.

    Raises:
        ValueError: if there are results that started from other weights, or no nnUNetv2_train.
    """
    with ExitStack() as ending:
        notice = TerminationNotice()
        notice.switch_on()
        ending.callback(notice.switch_off)
        training.folder.mkdir(parents=True, exist_ok=True)
        lock = _wait_for_folder(training, notice)
        if lock is None:
            return notice.exit_status
        ending.callback(os.close, lock)
        if training.state is State.FINISHED:
            return 0
        check_weights([training.planned], training.options.dataset_results)
        environment, places = _environment(training)
        for place in places:
            ending.callback(os.close, place)
        return _train(training, log, environment, [lock, *places], notice)


def _train(
    training: Training,
    log: Path,
    environment: dict[str, str],
    descriptors: Sequence[int],
    notice: TerminationNotice,
) -> int:
    program = [train_program()]
    if training.options.device == "cpu":
        program = [sys.executable, "-P", "-m", one_core.__name__, *program]
    command = command_of(Job(training.planned, training.state), training.options)
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a", encoding="utf-8") as file:
        clock = time.strftime("%Y-%m-%d %H:%M:%S")
        print(f"\n{clock} {command.for_shell()}", file=file, flush=True)
        start = file.tell()
        status = _run(command, program, environment, file, descriptors, notice)
    _clear_lock(training.folder)
    if status == 0 and training.state is State.FINISHED:
        return 0
    if notice.received:
        return notice.exit_status
    reason = f"exit status {status}" if status else "it ended without its results"
    print(f"{training} FAILED: {reason}, log: {log}", file=sys.stderr)
    print("\n".join(f"    {line}" for line in _last_lines(log, start)), file=sys.stderr)
    return 1


def train_program() -> str:
    """nnUNetv2_train as a shell would find it, or that of this Python environment.

    Raises:
        ValueError: if there is none.
    """
    program = shutil.which(TRAIN_COMMAND) or shutil.which(
        TRAIN_COMMAND, path=Path(sys.executable).parent
    )
    if program is None:
        raise ValueError(f"{TRAIN_COMMAND} is not on PATH: activate the environment of nnU-Net.")
    return program


def is_running(training: Training) -> bool:
    """Whether a job, or a training that outlived one, works in the result folder."""
    path = training.folder / LOCK_NAME
    descriptor = try_lock(path) if path.exists() else -1
    if descriptor is None:
        return True
    if descriptor >= 0:
        os.close(descriptor)
    return False


def _wait_for_folder(training: Training, notice: TerminationNotice) -> int | None:
    """The lock of the result folder; None if a signal came before."""
    is_told = False
    while notice.received is None:
        lock = try_lock(training.folder / LOCK_NAME)
        if lock is not None:
            return lock
        if not is_told:
            print(f"{training} is run elsewhere: waiting for its end", file=sys.stderr, flush=True)
            is_told = True
        time.sleep(POLL_S)
    return None


def _environment(training: Training) -> tuple[dict[str, str], list[int]]:
    """Variables of the training beside its command's, and descriptors of its places on GPUs."""
    environment = {"PYTHONUNBUFFERED": "1"}
    options = training.options
    if options.device == "cpu" and PROCESSES_VARIABLE not in os.environ:
        # On its one core, eight processes that import nnU-Net would take longer than they save.
        environment[PROCESSES_VARIABLE] = "1"
    if options.device != "cuda":
        return environment, []
    gpus = visible_gpus()
    if len(gpus) <= options.num_gpus:
        return environment, []
    taken, descriptors = take_gpus(gpus, options.num_gpus, lock_folder())
    return environment | {VARIABLE: ",".join(taken)}, descriptors


def _run(
    command: Command,
    program: Sequence[str],
    environment: dict[str, str],
    output,
    descriptors: Sequence[int],
    notice: TerminationNotice,
) -> int:
    """Exit status. A signal ends it with SIGTERM, at which pretrainings save their state."""
    process = subprocess.Popen(
        [*program, *command.arguments[1:]],
        env={**os.environ, **environment, **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # Apart from the terminal, so that signals reach it through us only.
        start_new_session=True,
        pass_fds=descriptors,
    )
    deadline = None
    try:
        while process.poll() is None:
            if notice.received and deadline is None:
                deadline = time.monotonic() + PATIENCE_S
                _signal_group(process, signal.SIGTERM)
            if deadline is not None and time.monotonic() > deadline:
                break
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
    except KeyboardInterrupt:
        # Ctrl-C for the second time.
        pass
    finally:
        # Workers that it left behind too.
        _signal_group(process, signal.SIGKILL)
    return process.wait()


def _clear_lock(folder: Path) -> None:
    """Removes the lock of a training that has ended without doing so.

    It names this host, so that on another one, where the training may go on, nobody could know.
    """
    lock = ProcessLock(folder / TRAINING_LOCK)
    if lock.acquire():
        lock.release()


def _signal_group(process: subprocess.Popen, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _last_lines(log: Path, start: int) -> list[str]:
    with open(log, "rb") as file:
        file.seek(start)
        return file.read().decode("utf-8", errors="replace").splitlines()[-LINES_SHOWN:]


if __name__ == "__main__":
    main()
