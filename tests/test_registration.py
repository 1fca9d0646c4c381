"""nnU-Net finds the trainers without anybody setting a variable."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nnunetv2_pcrl
from nnunetv2_pcrl import registration
from nnunetv2_pcrl.registration import register, trainer_folder

VARIABLE = "nnUNet_extTrainer"


@pytest.fixture
def variable(monkeypatch):
    """Sets the variable; importing torch in this process had already registered us."""

    def set_to(value: str | None) -> None:
        if value is None:
            monkeypatch.delenv(VARIABLE, raising=False)
        else:
            monkeypatch.setenv(VARIABLE, value)

    set_to(None)
    return set_to


def run_python(*arguments: str, **environment: str) -> str:
    """Standard output of a fresh interpreter that knows nothing of the variable."""
    inherited = {k: v for k, v in os.environ.items() if k != VARIABLE}
    result = subprocess.run(
        [sys.executable, *arguments],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


def test_the_folder_lies_in_the_package():
    folder = Path(trainer_folder())
    assert folder.is_absolute() and folder.is_dir()
    assert folder.parent == Path(nnunetv2_pcrl.__file__).resolve().parent


def test_the_folder_holds_one_module_with_a_name_of_its_own():
    # nnU-Net imports every module of the folder under its bare name.
    files = [p for p in Path(trainer_folder()).rglob("*") if "__pycache__" not in p.parts]
    assert [p.name for p in files] == ["nnunetv2_pcrl_trainers.py"]


def test_the_variable_is_set_where_there_was_none(variable):
    register()
    assert os.environ[VARIABLE] == trainer_folder()


def test_an_empty_variable_counts_as_none(variable):
    variable("")
    register()
    assert os.environ[VARIABLE] == trainer_folder()


@pytest.mark.parametrize("own", ["/home/me/trainers", os.pathsep.join(["/a", "/b"])])
def test_the_folders_of_the_user_are_kept_and_come_first(variable, own):
    variable(own)
    register()
    assert os.environ[VARIABLE] == os.pathsep.join([own, trainer_folder()])


@pytest.mark.parametrize("own", [None, "/home/me/trainers"])
def test_registering_again_changes_nothing(variable, own):
    variable(own)
    register()
    before = os.environ[VARIABLE]
    register()
    assert os.environ[VARIABLE] == before


def test_a_folder_that_the_user_had_set_by_hand_is_not_added_again(variable):
    own = os.pathsep.join([trainer_folder(), "/a"])
    variable(own)
    register()
    assert os.environ[VARIABLE] == own


def test_the_entry_point_of_pytorch_is_declared():
    found = {
        entry_point.name: entry_point.load()
        for entry_point in importlib.metadata.entry_points(group="torch.backends")
    }
    assert found["nnunetv2_pcrl"] is registration.register


def test_registering_imports_neither_torch_nor_nnunetv2():
    program = (
        "import sys; from nnunetv2_pcrl.registration import register; register(); "
        "print([n for n in ('torch', 'nnunetv2', 'numpy') if n in sys.modules])"
    )
    assert run_python("-c", program) == "[]"


def test_the_module_prints_the_folder_without_importing_torch():
    assert run_python("-m", "nnunetv2_pcrl") == trainer_folder()
    program = (
        "import runpy, sys; runpy.run_module('nnunetv2_pcrl', run_name='__main__'); "
        "print('torch' in sys.modules)"
    )
    assert run_python("-c", program).split() == [trainer_folder(), "False"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({VARIABLE: "/a"}, os.pathsep.join(["/a", trainer_folder()])),
        ({"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}, "None"),
    ],
    ids=["autoloading on", "autoloading off"],
)
def test_importing_torch_sets_the_variable_unless_autoloading_is_off(environment, expected):
    program = f"import os, torch; print(os.environ.get({VARIABLE!r}))"
    assert run_python("-c", program, **environment) == expected


@pytest.mark.slow
def test_nnu_net_finds_the_trainers_and_their_variants_by_name():
    names = ["PCRLv2PretrainTrainer", "PCRLv2FinetuneTrainer", "PCRLv2PretrainTrainer_7epochs"]
    program = (
        "from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find\n"
        f"found = [find(name).__name__ for name in {names!r}]\n"
        "print(*found)"
    )
    assert run_python("-c", program).splitlines()[-1].split() == names
