"""A training as a child process, with a log file of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from nnunetv2_pcrl.experiments.commands import TRAIN_COMMAND, Command

LOG_NAME = "experiment.log"


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


class Training:
    """A command that runs, apart from the terminal, so that signals reach it through us only.

    Attributes:
        log: what it writes, appended to what earlier starts wrote.
        began: value of `time.monotonic` at the start.
    """

    def __init__(self, command: Command, program: str, log: Path, lock_descriptor: int):
        """Starts it.

        Args:
            command: what to run.
            program: path of its program.
            log: file to append to.
            lock_descriptor: kept open by the training as long as it lives.
        """
        self.log = log
        self.began = time.monotonic()
        self._has_ended = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} {command.for_shell()}\n")
            file.flush()
            self._log_start = file.tell()
            self._process = subprocess.Popen(
                [program, *command.arguments[1:]],
                env={**os.environ, "PYTHONUNBUFFERED": "1", **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock_descriptor,),
            )

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.began

    def exit_status(self) -> int | None:
        """None while it runs. Workers that it left behind at its end are ended."""
        status = self._process.poll()
        if status is not None:
            self.kill()
            # The number of its group may be another's from now on.
            self._has_ended = True
        return status

    def ask_to_end(self) -> None:
        """SIGTERM: a pretraining of this package saves its state first."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """To the training and its workers."""
        if self._has_ended:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of what it has written since this start."""
        with open(self.log, "rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", errors="replace").splitlines()[-count:]
