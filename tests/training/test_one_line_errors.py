"""Errors that a person can mend are one line where nnU-Net's commands end, and errors elsewhere."""

import os
import re
import sys
from pathlib import Path

import pytest
import torch
from commands import run_forked
from prepared_dataset import NAME, PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl import trainers
from nnunetv2_pcrl.training import one_line_errors
from nnunetv2_pcrl.training.folder_lock import take_folder
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.weights.reading import load_safely


def raised(call, *arguments) -> BaseException:
    try:
        call(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture
def dataset(nnunet_folders):
    """Two 2D cases."""
    sections = {"pcrlv2": {"batch_size": 2, "probe_every": 0}, "finetune": {}}
    configurations = {"2d": configuration(2, nnunetv2_pcrl=sections)}
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", configurations)
    for number in range(2):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 4, 24, 24), number))
    return dataset


def test_what_our_code_raises_is_said_as_it_stands():
    error = raised(load_safely, Path("/nowhere/weights.pth"))
    assert isinstance(error, ValueError)
    assert one_line_errors.in_one_line(error) == "there is no weights file /nowhere/weights.pth"
    error = raised(JointBatch, 1, 0, 2)
    assert one_line_errors.in_one_line(error) == str(error)


def test_bugs_keep_their_traceback():
    def unpacks():
        _, _ = (1, 2, 3)

    for call in (unpacks, lambda: int("x"), lambda: torch.ones(2) @ torch.ones(3)):
        assert one_line_errors.in_one_line(raised(call)) is None
    # In our code, but not by a raise statement of it.
    assert one_line_errors.in_one_line(raised(JointBatch, "2", 0, 1)) is None


def test_missing_files_are_one_line_whoever_opens_them():
    error = raised(torch.load, "/nowhere/weights.pth")
    assert one_line_errors.in_one_line(error) == "there is no file /nowhere/weights.pth"


def test_missing_plans_are_answered_by_those_that_are_there(dataset):
    error = raised(open, dataset.folder / "nnUNetPlan.json")
    assert one_line_errors.in_one_line(error) == (
        f"there is no file {dataset.folder}/nnUNetPlan.json. There are nnUNetPlans: name one of "
        f"them with -p"
    )
    for file in dataset.folder.glob("*.json"):
        file.unlink()
    assert "plan and preprocess the data set first" in one_line_errors.in_one_line(error)


def test_programs_that_use_the_trainers_keep_their_hook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(sys, "argv", ["/home/me/program.py"])
    trainers.__getattr__("PCRLv2PretrainTrainer")
    assert sys.excepthook is sys.__excepthook__
    monkeypatch.setattr(sys, "argv", ["/bin/nnUNetv2_train"])
    trainers.__getattr__("PCRLv2PretrainTrainer")
    assert sys.excepthook is not sys.__excepthook__
    own = print
    monkeypatch.setattr(sys, "excepthook", own)
    one_line_errors.install_in_commands()
    assert sys.excepthook is own


def test_the_hook_prints_one_line_and_leaves_other_errors_to_python(capsys):
    error = raised(load_safely, Path("/nowhere/weights.pth"))
    one_line_errors._print_in_one_line(type(error), error, error.__traceback__)
    assert capsys.readouterr().err == "ERROR: there is no weights file /nowhere/weights.pth\n"
    one_line_errors._print_in_one_line(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "ERROR: interrupted\n"
    error = raised(int, "x")
    one_line_errors._print_in_one_line(type(error), error, error.__traceback__)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("-p", "nnUNetPlan"), {}, "nnUNetPlan.json. There are nnUNetPlans: name one of them"),
        ((), {}, "No pretrained weights were found"),
        ((), {"nnUNet_pcrl_weights": "/nowhere/w.pth"}, "there is no weights file /nowhere/w.pth"),
        (("-pretrained_weights", "/nowhere/w.pth"), {}, "there is no file /nowhere/w.pth"),
        (("-tr", "PCRLv2PretrainTrainer"), {}, "trains into"),
    ],
    ids=["plans", "no weights", "weights", "weights by option", "a folder in use"],
)
def test_nnunets_command_ends_with_a_line_and_an_exit_code(
    dataset, nnunet_folders, arguments, environment, message
):
    folder = "PCRLv2PretrainTrainer__nnUNetPlans__2d/fold_all"
    taken = nnunet_folders / "nnUNet_results" / NAME / folder
    taken.mkdir(parents=True)
    lock = take_folder(taken)
    command = [NAME, "2d", "all", "-device", "cpu", "-tr", "PCRLv2FinetuneTrainer", *arguments]
    status, output = run_forked("nnUNetv2_train", command, {**os.environ, **environment})
    lock.release()
    assert status == 1
    (said,) = re.findall("^ERROR: .*", output, re.MULTILINE)
    assert message in said and "Traceback" not in output
