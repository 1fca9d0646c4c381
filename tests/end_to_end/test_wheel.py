import subprocess
import sys
from pathlib import Path

import pytest
from make_reference import commands as package_commands

import nnunetv2_pcrl

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FIND = """
import nnunetv2_pcrl, torch
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find
print(nnunetv2_pcrl.__file__)
for name in ("PCRLv2PretrainTrainer", "PCRLv2FinetuneTrainer", "PCRLv2PretrainTrainer_7epochs"):
    print("found", find(name).__name__)
"""


def test_trainers_are_found_from_the_wheel_that_the_source_distribution_gives(tmp_path):
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    built, target = tmp_path / "built", tmp_path / "installed"
    # The source distribution, and the wheel out of nothing else.
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(built), str(ROOT)], check=True)
    (source,) = built.glob("nnunetv2_pcrl-*.tar.gz")
    (wheel,) = built.glob("nnunetv2_pcrl-*.whl")
    assert source.name == f"nnunetv2_pcrl-{nnunetv2_pcrl.__version__}.tar.gz"
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
    for name in ("py.typed", "experiments/Snakefile", "experiments/slurm.yaml"):
        assert (target / "nnunetv2_pcrl" / name).is_file()
    commands = {path.name for path in (target / "bin").iterdir()}
    assert set(package_commands()) <= commands
