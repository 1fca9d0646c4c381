import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FIND = """
import nnunetv2_pcrl, torch
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find
print(nnunetv2_pcrl.__file__)
for name in ("PCRLv2PretrainTrainer", "PCRLv2FinetuneTrainer", "PCRLv2PretrainTrainer_7epochs"):
    print("found", find(name).__name__)
"""


def test_trainers_are_found_from_an_installed_wheel(tmp_path):
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    wheels, target = tmp_path / "wheels", tmp_path / "installed"
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(ROOT)], check=True)
    (wheel,) = wheels.glob("nnunetv2_pcrl-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", FIND],
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(target) in done.stdout
    for name in ("PCRLv2PretrainTrainer", "PCRLv2FinetuneTrainer", "PCRLv2PretrainTrainer_7epochs"):
        assert f"found {name}" in done.stdout
    commands = {path.name for path in (target / "bin").iterdir()}
    assert {
        f"nnUNetv2_pcrl_{name}" for name in ("convert_weights", "export", "inspect")
    } <= commands
