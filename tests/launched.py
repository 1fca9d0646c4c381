"""The launcher in forks of this process: as torchrun starts it, without importing all anew."""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from torch.distributed import run
from torch.distributed.launcher.api import elastic_launch

LAUNCHER = "nnunetv2_pcrl.launch"


class Fork:
    """A running process with what `subprocess.Popen` has, as far as it is needed.

    Attributes:
        pid: of the process.
    """

    def __init__(self, work: Callable, argument: list[str], output: Path, environment: Mapping):
        """Starts `work(argument)`; what it says goes to a file."""
        arguments = (work, argument, output, environment)
        self._process = multiprocessing.get_context("fork").Process(target=_become, args=arguments)
        self._process.start()
        self._output = output
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def output(self, timeout_s: float) -> str:
        """What it has said when it ended; an error if it does not in that time."""
        self._process.join(timeout_s)
        assert self.returncode is not None, f"still running after {timeout_s} s"
        return self._output.read_text(encoding="utf-8")


def start_node(node: int, port: int, arguments: list[str], output: Path) -> Fork:
    """The launcher on one of two machines, in the environment that torchrun gives it.

    Args:
        node: number of the machine.
        port: of the first machine.
        arguments: of nnUNetv2_train.
        output: file.
    """
    environment = {
        "RANK": str(node),
        "WORLD_SIZE": "2",
        "GROUP_RANK": str(node),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    return Fork(_launch, arguments, output, environment)


def start_torchrun(port: int, arguments: list[str], output: Path) -> Fork:
    """torchrun with two processes of the launcher on this machine, forked from it."""
    address = ["--master_addr", "127.0.0.1", "--master_port", str(port)]
    command = ["--nproc_per_node", "2", *address, "-m", LAUNCHER, *arguments]
    return Fork(_torchrun, command, output, {})


def _torchrun(command: list[str]) -> None:
    config, _, _ = run.config_from_args(run.parse_args(command))
    config.start_method = "fork"
    elastic_launch(config, _launch)(command[command.index(LAUNCHER) + 1 :])


def _launch(arguments: list[str]) -> None:
    sys.argv = [LAUNCHER, *arguments]
    runpy.run_module(LAUNCHER, run_name="__main__")


def _become(work: Callable, argument: list[str], output: Path, environment: Mapping) -> None:
    """Ends as a program does: an error goes to the hook, and the exit status is 1."""
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, encoding="utf-8") for n in (1, 2))
    try:
        work(argument)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
