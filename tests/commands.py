"""Runs console commands as processes of their own: fresh ones, or forks that start at once."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
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
    server = _server()
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        request = {
            "command": command,
            "argv": [command, *arguments],
            "environment": dict(environment),
            "output": output.name,
        }
        print(json.dumps(request), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        return status, output.read()


@cache
def _server() -> subprocess.Popen:
    """One of this process; it ends with it."""
    server = subprocess.Popen(
        [sys.executable, SERVER],
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)
    return server
