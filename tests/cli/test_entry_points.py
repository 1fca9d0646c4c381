import configparser
import importlib
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
configuration = configparser.ConfigParser()
configuration.read(ROOT / "setup.cfg")
LINES = configuration["options.entry_points"]["console_scripts"].split("\n")
COMMANDS = dict(line.replace(" ", "").split("=") for line in LINES if line.strip())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_names_itself_as_it_is_installed(name, capsys):
    module, function = COMMANDS[name].split(":")
    with pytest.raises(SystemExit, match="0"):
        getattr(importlib.import_module(module), function)(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: {name} ")


@pytest.mark.parametrize(
    "script", sorted((ROOT / "scripts").glob("convert_*.py")), ids=lambda path: path.stem
)
def test_every_converter_runs_as_a_script_too(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.startswith(f"usage: nnUNetv2_pcrl_{script.stem} ")
