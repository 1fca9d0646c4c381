"""What the tab key gives, as the shell asks for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from make_reference import commands

ROOT = Path(__file__).resolve().parents[2]
# One process asks every command in a child of its own, because completing ends the process.
ASK_ALL = """
import importlib, json, os, sys

import argcomplete

for name, entry in json.loads(sys.argv[1]).items():
    answer = f"{sys.argv[2]}/{name}"
    if os.fork() == 0:
        line = f"{name} --h"
        os.environ.update(_ARGCOMPLETE="1", _ARGCOMPLETE_STDOUT_FILENAME=answer, COMP_LINE=line)
        os.environ.update(COMP_POINT=str(len(line)), COMP_TYPE="9", _ARGCOMPLETE_IFS=" ")
        module, function = entry.split(":")
        getattr(importlib.import_module(module), function)([])
        os._exit(1)
    os.wait()
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, list[str]]:
    """What each command offers after --h."""
    folder = tmp_path_factory.mktemp("answers")
    command = [sys.executable, "-c", ASK_ALL, json.dumps(commands()), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return {path.name: path.read_text().split() for path in folder.iterdir()}


@pytest.mark.parametrize("name", commands())
def test_every_command_completes_its_options(name, answers):
    assert "--help" in answers[name]


def test_the_line_of_the_documentation_completes_all_commands_in_bash():
    page = (ROOT / "docs" / "how-to" / "check_the_installation.md").read_text(encoding="utf-8")
    (line,) = (line for line in page.splitlines() if line.startswith("eval "))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"{line}\ncomplete -p nnUNetv2_pcrl_inspect nnUNetv2_pcrl_compare"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("_python_argcomplete") == 2
