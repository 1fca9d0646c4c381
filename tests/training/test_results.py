"""Where pretrained weights are looked for, and how earlier results are kept."""

import os
import shlex
from pathlib import Path

import pytest

from nnunetv2_pcrl.methods.pretraining import Pretraining
from nnunetv2_pcrl.training.results import (
    Wanted,
    find_weights,
    how_to_fine_tune,
    keep_previous_results,
)

PLANS, CONFIGURATION = "nnUNetPlans", "3d_fullres"


@pytest.fixture
def results(tmp_path) -> Path:
    folder = tmp_path / "Dataset004_Hippocampus"
    folder.mkdir()
    return folder


def pretrained(
    results: Path,
    fold: int | str = "all",
    age: int = 0,
    trainer: str = "PCRLv2PretrainTrainer",
    plans: str = PLANS,
    configuration: str = CONFIGURATION,
) -> Path:
    """A pretraining result, `age` seconds old."""
    folder = results / f"{trainer}__{plans}__{configuration}" / f"fold_{fold}"
    folder.mkdir(parents=True)
    file = folder / "pretrained_weights.pth"
    file.write_bytes(b"weights")
    now = 1_800_000_000
    os.utime(file, (now - age, now - age))
    return file


def find(
    results: Path,
    fold: int | str | tuple = 0,
    environment=None,
    plans=None,
    pretraining="PCRLv2",
    **kwargs,
):
    folds = fold if isinstance(fold, tuple) else (fold,)
    pretraining = Pretraining.of_name(pretraining)
    wanted = Wanted(results, PLANS, CONFIGURATION, folds, pretraining, **kwargs)
    return find_weights(environment, plans, wanted)


def test_the_environment_comes_before_the_plans_and_the_plans_before_results(results):
    own = pretrained(results)
    found = find(results, environment="/a/env.pth", plans="/a/plans.pth")
    assert found.path == Path("/a/env.pth")
    assert "nnUNet_pcrl_weights" in found.origin
    found = find(results, plans="/a/plans.pth")
    assert found.path == Path("/a/plans.pth")
    assert "plans file" in found.origin
    found = find(results)
    assert found.path == own
    assert "same data set, plans and configuration" in found.origin


def test_an_empty_environment_variable_counts_as_not_set(results):
    own = pretrained(results)
    assert find(results, environment="", plans="").path == own


def test_of_the_same_fold_and_fold_all_the_newest_is_taken(results):
    pretrained(results, "all", age=100)
    newest = pretrained(results, 0, age=10)
    assert find(results, fold=0).path == newest
    assert find(results, fold=1).path == newest.parents[1] / "fold_all/pretrained_weights.pth"


def test_an_older_result_of_the_same_fold_comes_before_a_newer_one_of_another(results):
    own = pretrained(results, 0, age=1000)
    pretrained(results, 1, age=0)
    found = find(results, fold=0)
    assert found.path == own
    assert "WARNING" not in found.origin


def test_with_results_of_other_folds_only_the_newest_is_taken_with_a_warning(results):
    pretrained(results, 2, age=100)
    newest = pretrained(results, 3, age=10)
    found = find(results, fold=0)
    assert found.path == newest
    assert "WARNING: it is of fold_3" in found.origin


def test_a_fine_tuning_on_all_cases_takes_any_fold_without_a_warning(results):
    newest = pretrained(results, 3)
    found = find(results, fold="all")
    assert found.path == newest and "WARNING" not in found.origin


def test_a_label_fold_takes_its_own_pretraining_too_without_a_warning(results):
    own = pretrained(results, 7)
    found = find(results, fold=(7, 0))
    assert found.path == own and "WARNING" not in found.origin
    pretrained(results, 1)
    assert find(results, fold=(7, 0)).path == own
    assert "that fold 8 validates on" in find(results, fold=(8, 2)).origin


def test_fold_one_does_not_take_fold_ten_for_itself(results):
    pretrained(results, 10)
    assert "WARNING: it is of fold_10" in find(results, fold=1).origin


def test_folders_of_trainer_variants_are_found_too(results):
    pretrained(results, "all", age=50)
    variant = pretrained(results, "all", age=5, trainer="PCRLv2PretrainTrainer_100epochs")
    assert find(results).path == variant


def test_weights_of_another_pretraining_are_taken_only_by_name(results):
    ablation = pretrained(results, trainer="PCRLv2PretrainTrainer_restorationOnly_40epochs")
    with pytest.raises(ValueError, match="There are weights of PCRLv2_restorationOnly; .* as "):
        find(results)
    own = pretrained(results, age=100)
    assert find(results).path == own
    assert find(results, pretraining="PCRLv2_restorationOnly").path == ablation
    with pytest.raises(ValueError, match="-tr PCRLv2PretrainTrainer_comparisonOnly") as caught:
        find(results, pretraining="PCRLv2_comparisonOnly")
    assert "weights of PCRLv2, PCRLv2_restorationOnly" in str(caught.value)


def test_an_ablation_of_the_authors_settings_is_not_taken_for_either(results):
    both = pretrained(results, trainer="PCRLv2PretrainTrainer_restorationOnly_authors_9epochs")
    for name in ("PCRLv2", "PCRLv2_authors", "PCRLv2_restorationOnly"):
        with pytest.raises(ValueError, match="weights of PCRLv2_authors_restorationOnly"):
            find(results, pretraining=name)
    assert find(results, pretraining="PCRLv2_restorationOnly_authors").path == both


def test_a_transductive_fine_tuning_takes_weights_of_fold_all_only(results):
    pretrained(results, 0)
    with pytest.raises(ValueError, match="fold_all/pretrained_weights.pth: no such file"):
        find(results, transductive=True)
    of_all = pretrained(results, "all", age=100)
    assert find(results, transductive=True).path == of_all


def test_what_to_type_names_the_method():
    plans = {"dataset_name": "Dataset004_Hippocampus", "plans_name": PLANS}
    for trainer, expected in (
        ("PCRLv2PretrainTrainer_5epochs", "-tr PCRLv2FinetuneTrainer -p"),
        ("PCRLv2PretrainTrainer_authors_5epochs", "-tr PCRLv2FinetuneTrainer_authors -p"),
    ):
        assert expected in how_to_fine_tune(Path("w.pth"), trainer, plans, CONFIGURATION)


def test_commands_can_be_copied_whatever_the_names_are():
    plans = {"dataset_name": "Dataset004_Left Heart", "plans_name": "it's; mine"}
    text = how_to_fine_tune(Path("a folder/w.pth"), "PCRLv2PretrainTrainer", plans, CONFIGURATION)
    command, _, option = text.splitlines()[1:]
    assert shlex.split(command) == [
        *("nnUNetv2_train", "Dataset004_Left Heart", CONFIGURATION, "FOLD"),
        *("-tr", "PCRLv2FinetuneTrainer", "-p", "it's; mine"),
    ]
    assert shlex.split(option) == ["-pretrained_weights", "a folder/w.pth"]
    planned_for = {"dataset_name": "Dataset005_B", "plans_name": "P"}
    text = how_to_fine_tune(
        Path("a folder/w.pth"), "PCRLv2PretrainTrainer", {**plans, "planned_for": planned_for}, "2d"
    )
    assert shlex.split(text.splitlines()[-1])[0] == "nnUNet_pcrl_weights=a folder/w.pth"


@pytest.mark.parametrize(
    "other",
    [
        {"plans": "nnUNetResEncUNetMPlans"},
        {"configuration": "2d"},
        {"configuration": "3d_fullres_small"},
        {"trainer": "PCRLv2FinetuneTrainer"},
        {"trainer": "nnUNetTrainer"},
    ],
    ids=lambda other: "-".join(other.values()),
)
def test_results_of_other_plans_configurations_and_trainers_are_not_taken(results, other):
    pretrained(results, **other)
    with pytest.raises(ValueError, match="No pretrained weights were found"):
        find(results)


def test_names_of_plans_with_double_underscores_are_told_apart(results):
    longer = pretrained(results, plans=f"my__{PLANS}")
    with pytest.raises(ValueError, match="No pretrained weights were found"):
        find(results)
    wanted = Wanted(results, f"my__{PLANS}", CONFIGURATION, (0,), Pretraining("PCRLv2"))
    assert find_weights(None, None, wanted).path == longer


def test_results_that_were_moved_aside_are_not_taken(results):
    file = pretrained(results)
    assert keep_previous_results(file.parent) is not None
    with pytest.raises(ValueError, match="No pretrained weights were found"):
        find(results)


def test_the_error_names_all_three_places_and_the_command(results):
    with pytest.raises(ValueError) as caught:
        find(results)
    message = str(caught.value)
    assert "(1) the environment variable nnUNet_pcrl_weights" in message
    assert '(2) "nnunetv2_pcrl": {"finetune": {"weights": PATH}} in configuration' in message
    assert f"(3) {results}" in message
    assert "nnUNetv2_train Dataset004_Hippocampus 3d_fullres all -tr PCRLv2PretrainTrainer" in (
        message
    )
    assert "-tr nnUNetTrainer" in message


def test_a_data_set_without_any_results_gets_the_same_error(tmp_path):
    with pytest.raises(ValueError, match="No pretrained weights were found"):
        find(tmp_path / "no such folder")


def test_an_earlier_result_is_moved_into_a_folder_of_its_own(tmp_path):
    kept = ("checkpoint_final.pth", "checkpoint_best.pth", "pretrained_weights.pth")
    for name in (*kept, "progress.png", "training_log_2026.txt"):
        (tmp_path / name).write_text(name)
    folder = keep_previous_results(tmp_path)
    assert folder.parent == tmp_path and folder.name.startswith("previous_")
    assert {p.name: p.read_text() for p in folder.iterdir()} == {name: name for name in kept}
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {
        "progress.png",
        "training_log_2026.txt",
    }


def test_without_an_earlier_result_nothing_is_moved_or_made(tmp_path):
    (tmp_path / "progress.png").write_text("")
    assert keep_previous_results(tmp_path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["progress.png"]
    assert keep_previous_results(tmp_path / "no such folder") is None
