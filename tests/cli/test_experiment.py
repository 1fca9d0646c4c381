"""nnUNetv2_pcrl_experiment with a stand-in for nnUNetv2_train."""

import json
import os
import subprocess
from functools import partial
from pathlib import Path

import pytest
from fake_training import DATASET, FakeTraining
from prepared_dataset import configuration, plans

from nnunetv2_pcrl.cli.experiment import main
from nnunetv2_pcrl.experiments import schedule
from nnunetv2_pcrl.experiments.locks import RunLock
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.schedule import Schedule
from nnunetv2_pcrl.label_folds.files import table_of, write_folds
from nnunetv2_pcrl.label_folds.table import LabelFold

LABEL_FOLDS = [LabelFold(5 + repeat, 0, 5, 0.1, repeat) for repeat in range(2)]


@pytest.fixture
def fake(nnunet_folders, monkeypatch) -> FakeTraining:
    """A data set with plans and two label folds, and the stand-in."""
    monkeypatch.setattr(schedule, "Schedule", partial(Schedule, poll_s=0.01))
    folder = nnunet_folders / "nnUNet_preprocessed" / DATASET
    folder.mkdir()
    content = plans({"2d": configuration(2), "3d_cascade_fullres": {"inherits_from": "2d"}})
    content["configurations"]["3d_cascade_fullres"]["previous_stage"] = "3d_lowres"
    content["dataset_name"] = DATASET
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))
    whole = {"train": list("abcdefg"), "val": ["x"]}
    splits = [*[whole] * 5, *[{**whole, "train": list(part)} for part in ("abcde", "cdefg")]]
    write_folds(folder, splits, table_of(0, LABEL_FOLDS, splits))
    return FakeTraining(nnunet_folders, monkeypatch)


def run(*more: str, expected: int = 0, trainers=("nnUNetTrainer", "PCRLv2FinetuneTrainer")) -> None:
    command = ["-d", "999", "-c", "2d", "-device", "cpu", "--trainers", *trainers, "--budget", "5"]
    if "--print" in more:
        main([*command, *more])
        return
    with pytest.raises(SystemExit) as ended:
        main([*command, *more])
    assert ended.value.code == expected


def write_section(root: Path, **settings) -> None:
    path = root / "nnUNet_preprocessed" / DATASET / "nnUNetPlans.json"
    content = json.loads(path.read_text())
    content["configurations"]["2d"]["nnunetv2_pcrl"] = {"finetune": settings}
    path.write_text(json.dumps(content))


def test_printed_commands_work_in_a_shell_and_leave_nothing_to_do(fake, capsys):
    run("--print", "--pretrain_epochs", "20")
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 3
    weights = fake.results / "PCRLv2PretrainTrainer_20epochs__nnUNetPlans__2d" / "fold_0"
    ending = "-p nnUNetPlans -device cpu"
    from_weights = f"nnUNet_pcrl_weights={weights}/pretrained_weights.pth nnUNetv2_train 999 2d"
    assert printed.out.splitlines() == [
        f"nnUNetv2_train 999 2d 0 -tr PCRLv2PretrainTrainer_20epochs {ending}",
        f"nnUNetv2_train 999 2d 5 -tr nnUNetTrainer_5epochs {ending}",
        f"{from_weights} 5 -tr PCRLv2FinetuneTrainer_5epochs {ending}",
        f"nnUNetv2_train 999 2d 6 -tr nnUNetTrainer_5epochs {ending}",
        f"{from_weights} 6 -tr PCRLv2FinetuneTrainer_5epochs {ending}",
    ]
    assert "Pretrainings come first (1 of 5 commands)" in printed.err
    assert "Pretraining uses the training cases of the fold only" in printed.err
    assert fake.events() == [] and not fake.results.exists()

    subprocess.run(["bash", "-e"], input=printed.out, text=True, check=True)
    run("--print", "--pretrain_epochs", "20")
    assert capsys.readouterr().out == ""


def test_the_experiment_ends_with_the_command_that_compares(fake, capsys):
    names = ("nnUNetTrainer", "PCRLv2FinetuneTrainer_fromScratch", "PCRLv2FinetuneTrainer")
    run("--cases", "5", trainers=names)
    text = capsys.readouterr().out
    assert f"{DATASET}, 2d, nnUNetPlans: trainers 3 x label folds 2, pretrainings 1" in text
    assert "[7 of 7 done]" in text
    assert text.endswith(
        "\n  nnUNetv2_pcrl_compare -d 999 -c 2d -p nnUNetPlans --trainers nnUNetTrainer_5epochs "
        "PCRLv2FinetuneTrainer_fromScratch_5epochs PCRLv2FinetuneTrainer_5epochs "
        "--cases 5\n"
    )


def test_an_experiment_without_a_twin_is_warned_and_compares_with_earlier_results(fake, capsys):
    run("--cases", "5", trainers=["PCRLv2FinetuneTrainer"])
    text = capsys.readouterr().out
    assert "WARNING: none of the trainers starts from scratch" in text
    assert text.endswith("\n  nnUNetv2_pcrl_compare -d 999 -c 2d -p nnUNetPlans --cases 5\n")
    run("--cases", "5")
    assert "starts from scratch" not in capsys.readouterr().out


def test_a_failed_training_ends_the_command_with_1_and_the_list(fake, capsys):
    fake.behave(nnUNetTrainer_5epochs__6="fail")
    run(expected=1)
    text = capsys.readouterr().out
    assert "Failed (1); the same command tries again:\n  nnUNetTrainer_5epochs" in text
    assert "exit status 3" in text


def test_transductive_pretraining_is_said_and_named(fake, capsys):
    run("--transductive", "--print")
    printed = capsys.readouterr()
    assert "Transductive: " in printed.err and "of the fold only" not in printed.err
    first, _, tuned, *_ = printed.out.splitlines()
    assert first.startswith("nnUNetv2_train 999 2d all -tr PCRLv2PretrainTrainer -p")
    assert "fold_all/pretrained_weights.pth" in tuned
    assert "-tr PCRLv2FinetuneTrainer_transductive_5epochs" in tuned


def test_what_runs_elsewhere_is_not_printed_but_remarked(fake, capsys):
    lock = RunLock(TrainingRun("nnUNetTrainer_5epochs", "nnUNetPlans", "2d", 6), fake.results)
    assert lock.acquire()
    run("--print", trainers=["nnUNetTrainer"])
    lock.release()
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert f"repeat 1) is run by process {os.getpid()}" in printed.err


def test_weights_that_the_plans_name_give_way_and_this_is_said(fake, nnunet_folders, capsys):
    write_section(nnunet_folders, weights="/some/file.pth")
    run("--print")
    printed = capsys.readouterr()
    assert "The plans name the weights /some/file.pth: they are not used" in printed.err
    assert "/some/file.pth" not in printed.out


def test_trainers_of_different_length_get_a_warning(fake, capsys):
    names = ["nnUNetTrainer", "PCRLv2FinetuneTrainer_5epochs"]
    main(["-d", "999", "-c", "2d", "--trainers", *names, "--print"])
    assert (
        "WARNING: the trainers differ in length (nnUNetTrainer: its own number of epochs, "
        "PCRLv2FinetuneTrainer_5epochs: 5 epochs)" in capsys.readouterr().err
    )


def test_label_folds_that_hold_other_cases_now_are_refused(fake, nnunet_folders):
    path = nnunet_folders / "nnUNet_preprocessed" / DATASET / "splits_final.json"
    splits = json.loads(path.read_text())
    splits[6]["train"] = list("bcdef")
    path.write_text(json.dumps(splits))
    with pytest.raises(SystemExit, match="edited or made anew .* are the folds 6"):
        run("--print")


@pytest.mark.parametrize("key", ["plans_name", "dataset_name"])
def test_a_copy_of_plans_that_nnunet_takes_for_the_original_is_refused(fake, nnunet_folders, key):
    folder = nnunet_folders / "nnUNet_preprocessed" / DATASET
    content = json.loads((folder / "nnUNetPlans.json").read_text()) | {"plans_name": "Copy"}
    (folder / "Copy.json").write_text(json.dumps(content))
    run("--print", "-p", "Copy")
    (folder / "Copy.json").write_text(json.dumps(content | {key: "nnUNetPlans"}))
    with pytest.raises(SystemExit, match=f'"{key}" in .*Copy.json is nnUNetPlans\\. nnU-Net names'):
        run("--print", "-p", "Copy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "998"], "Data set 998 must be one folder of"),
        (["-p", "Plans"], r"There is no .*Plans.json: plan and preprocess"),
        (["-c", "3d_fullres"], "no configuration 3d_fullres, only 2d, 3d_cascade_fullres"),
        (["-c", "3d_cascade_fullres"], "needs predictions of 3d_lowres"),
        (
            ["--cases", "7"],
            r"\(1, first: cases 7\).*\n  nnUNetv2_pcrl_label_folds -d 999 --cases 7",
        ),
        (["--trainers", "nnUNetTrainer", "--budget", "7"], "exists for 1, 5, 10"),
    ],
)
def test_what_is_missing_is_said_before_anything_runs(fake, arguments, message):
    base = ["-d", "999", "-c", "2d", "-device", "cpu", "--trainers", "PCRLv2FinetuneTrainer"]
    with pytest.raises(SystemExit, match=message):
        main([*base, *arguments])
    assert fake.events() == []


def test_numbers_that_are_not_above_0_are_refused(fake, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["-d", "999", "-c", "2d", "--trainers", "nnUNetTrainer", "--jobs", "0"])
    assert "'0' is no number above 0" in capsys.readouterr().err
