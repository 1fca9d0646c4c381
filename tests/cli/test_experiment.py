"""nnUNetv2_pcrl_experiment: what it plans, refuses and prints; nothing is run through Snakemake."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from fake_experiment import prepare
from fake_training import DATASET, FakeTraining
from planned_networks import planned_network

from nnunetv2_pcrl.cli.experiment import main
from nnunetv2_pcrl.experiments import running
from nnunetv2_pcrl.experiments.file_lock import try_lock
from nnunetv2_pcrl.experiments.job import LOCK_NAME
from nnunetv2_pcrl.experiments.runs import TrainingRun

pytestmark = pytest.mark.slow


@pytest.fixture
def fake(nnunet_folders, monkeypatch) -> FakeTraining:
    """A data set with plans and two label folds, and the stand-in."""
    prepare(nnunet_folders / "nnUNet_preprocessed", DATASET)
    return FakeTraining(nnunet_folders, monkeypatch)


START = ["-d", "999", "-c", "2d", "-device", "cpu", "--trainers", "nnUNetTrainer"]


def show(
    *more: str, trainers=("nnUNetTrainer", "PCRLv2FinetuneTrainer"), data_sets=("999",)
) -> None:
    """Prints what is left."""
    start = ["-d", *data_sets, "-c", "2d", "-device", "cpu", "--trainers", *trainers]
    main([*start, "--budget", "5", "--print", *more])


def write_section(root: Path, **settings) -> None:
    path = root / "nnUNet_preprocessed" / DATASET / "nnUNetPlans.json"
    content = json.loads(path.read_text())
    content["configurations"]["2d"]["nnunetv2_pcrl"] = {"finetune": settings}
    path.write_text(json.dumps(content))


def test_printed_commands_work_in_a_shell_and_leave_nothing_to_do(fake, capsys):
    show("--pretrain_epochs", "20")
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 3
    weights = fake.results / "PCRLv2PretrainTrainer_20epochs__nnUNetPlans__2d" / "fold_0"
    ending = "-p nnUNetPlans -device cpu"
    from_weights = (
        f"nnUNet_pcrl_weights={weights}/pretrained_weights.pth nnUNetv2_train {DATASET} 2d"
    )
    assert printed.out.splitlines() == [
        f"nnUNetv2_train {DATASET} 2d 0 -tr PCRLv2PretrainTrainer_20epochs {ending}",
        f"nnUNetv2_train {DATASET} 2d 5 -tr nnUNetTrainer_5epochs {ending}",
        f"{from_weights} 5 -tr PCRLv2FinetuneTrainer_seed5_5epochs {ending}",
        f"nnUNetv2_train {DATASET} 2d 6 -tr nnUNetTrainer_5epochs {ending}",
        f"{from_weights} 6 -tr PCRLv2FinetuneTrainer_seed6_5epochs {ending}",
    ]
    assert "Pretrainings come first (1 of 5 commands)" in printed.err
    assert "Pretraining uses the training cases of the fold only" in printed.err
    assert fake.events() == [] and not fake.results.exists()

    subprocess.run(["bash", "-e"], input=printed.out, text=True, check=True)
    show("--pretrain_epochs", "20")
    assert capsys.readouterr().out == ""


def test_transductive_pretraining_is_said_and_named(fake, capsys):
    show("--transductive", "--seeds", "none")
    printed = capsys.readouterr()
    assert "Transductive: " in printed.err and "of the fold only" not in printed.err
    first, _, tuned, *_ = printed.out.splitlines()
    assert first.startswith(f"nnUNetv2_train {DATASET} 2d all -tr PCRLv2PretrainTrainer -p")
    assert "fold_all/pretrained_weights.pth" in tuned
    assert "-tr PCRLv2FinetuneTrainer_transductive_5epochs" in tuned


def test_what_runs_now_is_not_printed_but_remarked(fake, capsys):
    folder = TrainingRun("nnUNetTrainer_5epochs", "nnUNetPlans", "2d", 6).folder(fake.results)
    folder.mkdir(parents=True)
    lock = try_lock(folder / LOCK_NAME)
    show(trainers=["nnUNetTrainer"])
    os.close(lock)
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert f"{DATASET}: nnUNetTrainer_5epochs, fold 6" in printed.err
    assert "repeat 1) is running\n" in printed.err


def test_several_data_sets_and_seeds_are_one_grid(fake, nnunet_folders, capsys):
    prepare(nnunet_folders / "nnUNet_preprocessed", "Dataset998_Second")
    show("--seeds", "0", "7", "--repeats", "1", data_sets=["998", "999", "Dataset998_Second"])
    printed = [line.split(" nnUNetv2_train ")[-1] for line in capsys.readouterr().out.splitlines()]
    of_each = ["5 -tr nnUNetTrainer_5epochs", "5 -tr PCRLv2FinetuneTrainer_seed0_5epochs"]
    of_each += ["5 -tr PCRLv2FinetuneTrainer_seed7_5epochs"]
    names = ("Dataset998_Second", DATASET)
    expected = [f"{name} 2d 0 -tr PCRLv2PretrainTrainer" for name in names]
    expected += [f"{name} 2d {what}" for name in names for what in of_each]
    assert [line.removeprefix("nnUNetv2_train ").split(" -p ")[0] for line in printed] == expected


def test_none_and_numbers_are_no_seeds_together(fake):
    with pytest.raises(SystemExit, match="--seeds takes none, or numbers: not both"):
        show("--seeds", "none", "1")


def test_trainers_of_both_tasks_go_to_the_data_sets_that_have_their_labels(
    fake, nnunet_folders, capsys
):
    second = prepare(nnunet_folders / "nnUNet_preprocessed", "Dataset998_Second")
    (second / "classes.csv").write_text("identifier,ill\na,1\n")
    names = ("PCRLv2FinetuneTrainer", "PCRLv2ClassificationTrainer")
    show("--repeats", "1", "--seeds", "none", trainers=names, data_sets=["998", "999"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "_5epochs" in line]
    assert len(lines) == 2
    assert "Dataset998_Second 2d 5 -tr PCRLv2ClassificationTrainer_5epochs" in lines[0]
    assert f"{DATASET} 2d 5 -tr PCRLv2FinetuneTrainer_5epochs" in lines[1]


def test_weights_that_the_plans_name_give_way_and_this_is_said(fake, nnunet_folders, capsys):
    write_section(nnunet_folders, weights="/some/file.pth")
    show()
    printed = capsys.readouterr()
    assert "The plans name the weights /some/file.pth: they are not used" in printed.err
    assert "/some/file.pth" not in printed.out


def test_given_weights_take_the_place_of_pretrainings(fake, tmp_path, capsys):
    weights = tmp_path / "of a pool.pth"
    content = {"method": "MAE", "nnunet_plans": {}, "epochs_done": 3, "num_epochs": 20}
    torch.save({**content, "network_weights": planned_network().state_dict()}, weights)
    show("--weights", str(weights), "--repeats", "1")
    printed = capsys.readouterr()
    scratch, tuned = printed.out.splitlines()
    assert scratch.startswith("nnUNetv2_train") and "-tr nnUNetTrainer_5epochs" in scratch
    assert tuned.startswith(f"nnUNet_pcrl_weights='{weights}' nnUNetv2_train {DATASET} 2d 5")
    assert f"PCRLv2FinetuneTrainer_5epochs starts from {weights}" in printed.err
    assert "of the fold only" not in printed.err
    assert "WARNING: its pretraining stopped after 3 of 20 epochs" in printed.err
    assert "WARNING: PCRLv2FinetuneTrainer_5epochs starts from weights of MAE: its" in printed.err
    for option in (["--transductive"], ["--pretrain_epochs", "5"]):
        with pytest.raises(
            SystemExit, match=f"leaves nothing to pretrain: leave it or {option[0]}"
        ):
            show("--weights", str(weights), *option)
    with pytest.raises(SystemExit, match="nothing.pth"):
        show("--weights", str(tmp_path / "nothing.pth"))


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
        show()


@pytest.mark.parametrize("key", ["plans_name", "dataset_name"])
def test_a_copy_of_plans_that_nnunet_takes_for_the_original_is_refused(fake, nnunet_folders, key):
    folder = nnunet_folders / "nnUNet_preprocessed" / DATASET
    content = json.loads((folder / "nnUNetPlans.json").read_text()) | {"plans_name": "Copy"}
    (folder / "Copy.json").write_text(json.dumps(content))
    show("-p", "Copy")
    (folder / "Copy.json").write_text(json.dumps(content | {key: "nnUNetPlans"}))
    with pytest.raises(SystemExit, match=f'"{key}" in .*Copy.json is nnUNetPlans\\. nnU-Net names'):
        show("-p", "Copy")


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
        main([*base, "--print", *arguments])
    assert fake.events() == []


def test_numbers_that_are_not_above_0_are_refused(fake, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["-d", "999", "-c", "2d", "--trainers", "nnUNetTrainer", "--jobs", "0"])
    assert "'0' is no number above 0" in capsys.readouterr().err


def test_a_run_without_a_folder_is_told_to_name_one(fake, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["-d", "999", "-c", "2d", "--trainers", "nnUNetTrainer"])
    assert "-o FOLDER is missing" in capsys.readouterr().err


@pytest.mark.parametrize("installed", [None, "8.30.0"])
def test_an_environment_without_snakemake_9_is_told_how_to_get_it(
    fake, tmp_path, monkeypatch, installed
):
    monkeypatch.setattr(running, "_version", lambda package: installed)
    with pytest.raises(SystemExit, match=r"pip install nnunetv2_pcrl\[experiments\].*--print"):
        main([*START, "-o", str(tmp_path / "experiment")])
    assert not (tmp_path / "experiment").exists()


def test_slurm_without_its_plugin_is_told_how_to_get_it(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_version", {"snakemake": "9.1.0"}.get)
    with pytest.raises(SystemExit, match="pip install snakemake-executor-plugin-slurm"):
        main([*START, "-o", str(tmp_path / "experiment"), "--slurm"])
