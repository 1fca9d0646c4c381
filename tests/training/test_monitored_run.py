from types import SimpleNamespace

import pytest
import torch
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunetv2_pcrl.training.monitored_run import class_names, command_of


def trainer_with(folder, labels: dict, order=None) -> SimpleNamespace:
    return SimpleNamespace(
        preprocessed_dataset_folder=folder,
        label_manager=LabelManager(labels, order),
        dataset_json={"labels": labels},
    )


def test_classes_are_called_by_their_names_and_what_is_ignored_is_none(tmp_path):
    (tmp_path / "case_seg.b2nd").touch()
    labels = {"background": 0, "liver": 1, "tumour": 2, "ignore": 3}
    names = class_names(trainer_with(tmp_path, labels))
    assert names == {0: "background", 1: "liver", 2: "tumour"}


def test_values_of_regions_are_called_by_the_regions_that_they_belong_to(tmp_path):
    (tmp_path / "case_seg.b2nd").touch()
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    names = class_names(trainer_with(tmp_path, labels, [1, 2, 3]))
    assert names == {
        0: "background",
        1: "value 1 (whole)",
        2: "value 2 (whole, core)",
        3: "enhancing",
    }


def test_without_a_labelled_case_there_is_no_class(tmp_path):
    assert class_names(trainer_with(tmp_path, {"background": 0, "liver": 1})) == {}


@pytest.mark.parametrize(
    ("device", "end"), [("cuda", "-p 'my plans'"), ("cpu", "-p 'my plans' -device cpu")]
)
def test_the_command_that_made_a_run_can_be_typed_again(device, end):
    class MAEPretrainTrainer(SimpleNamespace):
        pass

    trainer = MAEPretrainTrainer(
        plans_manager=SimpleNamespace(dataset_name="Dataset001_A", plans_name="my plans"),
        configuration_name="3d_fullres",
        fold="all",
        is_ddp=False,
        device=torch.device(device),
    )
    expected = f"nnUNetv2_train Dataset001_A 3d_fullres all -tr MAEPretrainTrainer {end}"
    assert command_of(trainer) == expected
