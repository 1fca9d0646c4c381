"""The scripts of a results page: as modules, or run, mostly from a smaller copy of the page."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
# A program that writes down how it was called.
RECORDER = '#!/bin/sh\necho "$(basename "$0") $*" >> {log}\n'


def script(page: str, name: str, monkeypatch) -> ModuleType:
    """A script of a page as a module, for as long as the test runs."""
    # It imports its neighbours, as it does when it is run.
    monkeypatch.setattr(sys, "path", [str(ROOT / "results" / page), *sys.path])
    path = ROOT / "results" / page / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{page}_{name}", path)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and processes look their module up.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def cells_of(path: Path) -> list[list[str]]:
    """Of a Markdown table, line by line."""
    lines = path.read_text().splitlines()
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def recorders(programs: Path, log: Path, names: Iterable[str]) -> Path:
    """A folder of programs that only write down their names and arguments, a line per call."""
    programs.mkdir()
    for name in names:
        (programs / name).write_text(RECORDER.format(log=log))
        (programs / name).chmod(0o755)
    return programs


def smaller_copy(page: str, target: Path, changes: Mapping[str, Mapping[str, str]]) -> Path:
    """A folder with the page's files below results/, and the scripts that they call.

    Args:
        page: name of the folder in results/.
        target: where to copy to.
        changes: by file of the page, what is replaced by what; all of it stands there.
    """
    folder = target / "results" / page
    shutil.copytree(ROOT / "results" / page, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (target / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "shrink_plans.py", target / "scripts")
    for name, replaced in changes.items():
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in replaced.items():
            assert old in text, f"{name}: {old}"
            text = text.replace(old, new)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(command: list[str], programs: Path | None = None) -> str:
    """Runs bash on a script, with this Python's programs, some replaced; what it said."""
    path = [str(programs)] if programs else []
    path += [str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        ["bash", *command],
        env={**os.environ, "PATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout
