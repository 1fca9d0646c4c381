import pytest

from nnunetv2_pcrl.experiments.grid import build_grid, choose_label_folds
from nnunetv2_pcrl.experiments.planned_run import PlannedRun
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.trainers import Trainer
from nnunetv2_pcrl.label_folds.table import LabelFold

# Folds 5 to 12: 5 and 10 cases of folds 0 and 1, two repeats.
TABLE = tuple(
    LabelFold(5 + 4 * repeat + 2 * fold + position, fold, cases, cases / 100, repeat)
    for repeat in range(2)
    for fold in range(2)
    for position, cases in enumerate((5, 10))
)
SCRATCH = Trainer("nnUNetTrainer")
PRETRAINED = Trainer("PCRLv2FinetuneTrainer", "PCRLv2PretrainTrainer_20epochs")
TRANSDUCTIVE = Trainer("PCRLv2FinetuneTrainer_transductive", "PCRLv2PretrainTrainer", True)


def chosen(**asked) -> list[int]:
    return [part.fold for part in choose_label_folds(TABLE, "4", **asked)]


def test_all_label_folds_are_taken_a_whole_repeat_before_the_next():
    assert chosen() == [5, 6, 7, 8, 9, 10, 11, 12]


def test_numbers_of_cases_folds_and_repeats_choose_together():
    assert chosen(cases=[5]) == [5, 7, 9, 11]
    assert chosen(folds=[1]) == [7, 8, 11, 12]
    assert chosen(num_repeats=1) == [5, 6, 7, 8]
    assert chosen(cases=[10], folds=[0], num_repeats=2) == [6, 10]


@pytest.mark.parametrize(
    ("asked", "first", "options"),
    [
        ({"cases": [5, 20]}, "cases 20", "--cases 5 20 --folds 0 1 --repeats 2"),
        ({"folds": [2]}, "of fold 2", "--cases 5 10 --folds 2 --repeats 2"),
        (
            {"cases": [5], "num_repeats": 3},
            "cases 5, repeat 2",
            "--cases 5 --folds 0 1 --repeats 3",
        ),
    ],
)
def test_label_folds_that_do_not_exist_are_named_with_the_command(asked, first, options):
    with pytest.raises(ValueError, match=f", first: {first}\\). Add them with") as caught:
        chosen(**asked)
    assert str(caught.value).endswith(f"\n  nnUNetv2_pcrl_label_folds -d 4 {options}")


def test_a_data_set_without_label_folds_gets_the_command():
    with pytest.raises(ValueError, match="no label folds.*\n.*-d 4 --cases 3 --folds 0 --repeats"):
        choose_label_folds((), "4", cases=[3])


def test_each_fold_has_one_pretraining_right_before_the_first_that_needs_it():
    grid = build_grid((SCRATCH, PRETRAINED), TABLE[:3], "nnUNetPlans", "2d")
    of_fold = [TrainingRun(PRETRAINED.pretraining, "nnUNetPlans", "2d", fold) for fold in (0, 1)]
    assert [(run.run.trainer, run.run.fold) for run in grid] == [
        ("nnUNetTrainer", 5),
        ("PCRLv2PretrainTrainer_20epochs", 0),
        ("PCRLv2FinetuneTrainer", 5),
        ("nnUNetTrainer", 6),
        ("PCRLv2FinetuneTrainer", 6),
        ("nnUNetTrainer", 7),
        ("PCRLv2PretrainTrainer_20epochs", 1),
        ("PCRLv2FinetuneTrainer", 7),
    ]
    assert grid[1] == PlannedRun(of_fold[0]) and grid[1].is_pretraining
    assert [run.weights_of for run in grid] == [
        *(None, None, of_fold[0], None),
        *(of_fold[0], None, None, of_fold[1]),
    ]


def test_given_weights_take_the_place_of_every_pretraining(tmp_path):
    weights = tmp_path / "pool.pth"
    grid = build_grid((SCRATCH, PRETRAINED), TABLE[:2], "nnUNetPlans", "2d", weights=weights)
    assert [(run.run.trainer, run.weights, run.weights_of) for run in grid] == [
        ("nnUNetTrainer", None, None),
        ("PCRLv2FinetuneTrainer", weights, None),
    ] * 2


def test_a_transductive_trainer_has_one_pretraining_on_all_images():
    grid = build_grid((TRANSDUCTIVE,), TABLE, "nnUNetPlans", "2d")
    assert [run.run.fold for run in grid if run.is_pretraining] == ["all"]
    assert {run.weights_of for run in grid[1:]} == {grid[0].run}


def test_a_training_says_what_it_trains_on():
    grid = build_grid((PRETRAINED,), TABLE[-1:], "nnUNetPlans", "2d")
    assert [str(run) for run in grid] == [
        "PCRLv2PretrainTrainer_20epochs, fold 1",
        "PCRLv2FinetuneTrainer, fold 12 (10 cases of fold 1, repeat 1)",
    ]
