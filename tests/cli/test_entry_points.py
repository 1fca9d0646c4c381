"""--help of every command: it names itself, and is quick because it imports next to nothing."""

import configparser
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
configuration = configparser.ConfigParser()
configuration.read(ROOT / "setup.cfg")
LINES = configuration["options.entry_points"]["console_scripts"].split("\n")
COMMANDS = dict(line.replace(" ", "").split("=") for line in LINES if line.strip())
# Run in a fresh process; what a command imported is not counted again for the next one.
HELP_OF_ALL = """
import contextlib, importlib, io, json, sys

known = {name.split(".")[0] for name in sys.modules} | set(sys.stdlib_module_names)
known.add("nnunetv2_pcrl")
for name, entry in json.loads(sys.argv[1]).items():
    printed, status = io.StringIO(), None
    module, function = entry.split(":")
    with contextlib.redirect_stdout(printed):
        try:
            getattr(importlib.import_module(module), function)(["--help"])
        except SystemExit as end:
            status = end.code
    imported = {loaded.split(".")[0] for loaded in list(sys.modules)} - known
    known |= imported
    print(json.dumps([name, status, sorted(imported), printed.getvalue()]))
"""
HELP_OF_ONE = """
import importlib, sys, time

module, function = sys.argv[1].split(":")
try:
    getattr(importlib.import_module(module), function)(["--help"])
finally:
    print(time.process_time())
"""


def python(code: str, argument: str) -> list[str]:
    """Lines that a fresh interpreter prints."""
    command = [sys.executable, "-c", code, argument]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.fixture(scope="module")
def helped() -> dict[str, tuple[int, list[str], str]]:
    """Exit status, imported packages and text of --help, by command."""
    lines = map(json.loads, python(HELP_OF_ALL, json.dumps(COMMANDS)))
    return {name: (status, imported, text) for name, status, imported, text in lines}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_names_itself_as_it_is_installed(name, helped):
    status, _, text = helped[name]
    assert status == 0
    assert text.startswith(f"usage: {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_the_standard_library_only(name, helped):
    _, imported, _ = helped[name]
    assert imported == []


def test_help_takes_less_than_a_second():
    *text, seconds = python(HELP_OF_ONE, COMMANDS["nnUNetv2_pcrl_experiment"])
    assert text[0].startswith("usage: nnUNetv2_pcrl_experiment ")
    assert float(seconds) < 1
