import pytest

from nnunetv2_pcrl.evaluation.amounts import amounts_of
from nnunetv2_pcrl.evaluation.trainers import choose_twin, short_names
from nnunetv2_pcrl.label_folds.table import LabelFold


def label_fold(number: int, of_fold: int, num_cases: int, repeat: int = 0) -> LabelFold:
    return LabelFold(number, of_fold, num_cases, num_cases / 208, repeat)


def test_label_folds_are_grouped_by_size_and_the_same_fraction_of_other_folds_belongs():
    folds = [
        label_fold(5, 0, 20),
        label_fold(6, 0, 5),
        label_fold(7, 0, 20, repeat=1),
        label_fold(8, 4, 21),
        label_fold(9, 4, 6),
    ]
    amounts = amounts_of(folds)
    assert [str(amount) for amount in amounts] == ["5", "6", "20-21"]
    assert [fold.fold for fold in amounts[2].folds] == [5, 7, 8]
    assert amounts[2].num_cases == pytest.approx(61 / 3)


def test_sizes_that_one_fold_has_both_of_are_not_one():
    amounts = amounts_of([label_fold(5, 0, 20), label_fold(6, 0, 21)])
    assert [str(amount) for amount in amounts] == ["20", "21"]


def test_label_folds_of_one_size_stay_together_whatever_their_numbers():
    folds = [label_fold(5, 0, 20), label_fold(6, 1, 20), label_fold(7, 2, 21), label_fold(8, 1, 21)]
    amounts = amounts_of(folds)
    assert [str(amount) for amount in amounts] == ["20", "21"]
    assert [[fold.fold for fold in amount.folds] for amount in amounts] == [[5, 6], [7, 8]]


def test_the_twin_is_the_one_whose_name_says_from_scratch():
    names = ["PCRLv2FinetuneTrainer", "nnUNetTrainer_5epochs", "PCRLv2FinetuneTrainer_fromScratch"]
    assert choose_twin(names) == names[2]
    assert choose_twin(names[:2]) == names[1]
    with pytest.raises(ValueError, match="PCRLv2FinetuneTrainer is known .* --twin"):
        choose_twin(names[:1])


def test_names_are_shortened_by_what_all_share_and_stay_apart():
    names = ["nnUNetTrainer_5epochs", "Finetune_5epochs", "Finetune_lr3en3_5epochs"]
    assert list(short_names(names).values()) == ["nnUNetTrainer", "Finetune", "Finetune_lr3en3"]
    assert short_names(["A_x_x", "A_x"]) == {"A_x_x": "A_x_x", "A_x": "A_x"}
