"""Runs console commands as processes of their own: fresh ones, or forks that start at once."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

SERVER = Path(__file__).with_name("command_server.py")
# Read while nnU-Net and PyTorch are imported.
ENVIRONMENT = {
    "nnUNet_def_n_proc": "1",
    "nnUNet_n_proc_DA": "1",
    "OMP_NUM_THREADS": "1",
    # nnU-Net takes all cores all the same; threads that spin would slow down other tests.
    "OMP_WAIT_POLICY": "passive",
}
# On PATH in a command's place: other programs start it, and what they signal to it goes on.
_PROGRAM = """#!{python}
import sys
sys.path.insert(0, {tests!r})
import commands
commands.be_forked({address!r}, {command!r})
"""


def run_fresh(command: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Runs a program in a process of its own; its exit status and all that it has said."""
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def run_forked(
    command: str, arguments: list[str], environment: Mapping[str, str]
) -> tuple[int, str]:
    """Runs a command in a process that is forked with everything imported.

    Args:
        command: name of a console script, or of a module of this package that has a `main`.
        arguments: of the command.
        environment: all variables of the process, with those of `ENVIRONMENT`.

    Returns:
        Exit status and all that it has said.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        fork = _Fork(_server(), [command, *arguments], environment, output.fileno())
        status = fork.wait()
        output.seek(0)
        return status, output.read()


def write_forked_program(folder: Path, command: str) -> None:
    """Writes a Python program that stands for a command of the same name, and forks it."""
    program = folder / command
    text = _PROGRAM.format(
        python=sys.executable, tests=str(SERVER.parent), address=_server(), command=command
    )
    program.write_text(text)
    program.chmod(0o755)


def be_forked(address: str, command: str) -> None:
    """What such a program does; it ends as the fork does, and hands SIGTERM on to it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    fork = _Fork(address, [command, *sys.argv[1:]], os.environ, 1)

    def hand_on(number: int, _) -> None:
        with suppress(ProcessLookupError):
            os.kill(fork.pid, number)

    signal.signal(signal.SIGTERM, hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    sys.exit(fork.wait())


class _Fork:
    """A running command.

    Attributes:
        pid: of its process.
    """

    def __init__(self, address: str, argv: list[str], environment: Mapping[str, str], output: int):
        """Starts it; what it says is appended to an open file."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        content = {"argv": argv, "environment": dict(environment), "folder": os.getcwd()}
        request = json.dumps(content) + "\n"
        socket.send_fds(connection, [request[:1].encode()], [output])
        connection.sendall(request[1:].encode())
        self._answers = connection.makefile()
        self.pid = int(self._answers.readline())

    def wait(self) -> int:
        """Its exit status."""
        return int(self._answers.readline())


@cache
def _server() -> str:
    """Address of the one of this process, with which it ends."""
    folder = tempfile.TemporaryDirectory()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{folder.name}/server")
    listening.listen()
    server = subprocess.Popen(
        [sys.executable, SERVER, str(listening.fileno())],
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.PIPE,
        pass_fds=[listening.fileno()],
    )
    atexit.register(folder.cleanup)
    atexit.register(server.communicate)
    return listening.getsockname()
