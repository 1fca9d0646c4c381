from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from results_tree import ResultsTree, segmentation

from nnunetv2_pcrl.label_folds.table import LabelFold
from nnunetv2_pcrl.tasks.segmentation import validation_pictures
from nnunetv2_pcrl.tasks.segmentation.case_reading import image_files, read_case
from nnunetv2_pcrl.tasks.segmentation.validation_pictures import draw_validation_cases
from nnunetv2_pcrl.trainers import PCRLv2FinetuneTrainer

# Names of cases may hold dots, as those of LUNA16 do.
SHIFTS = {"1.2.3_a": 0, "b": 1, "c": 2, "d": 3}


@pytest.fixture
def tree(nnunet_folders):
    references = {case: segmentation() for case in SHIFTS}
    made = ResultsTree(nnunet_folders, [LabelFold(0, 0, 3, 0.01, 0)], references)
    made.add_images()
    return made


def validated(tree, predictions=None) -> nnUNetTrainer:
    """What the picture needs of a trainer that has validated."""
    predictions = predictions or {case: segmentation(shift) for case, shift in SHIFTS.items()}
    folder = tree.add_run("T", 0, predictions)
    trainer = PCRLv2FinetuneTrainer.__new__(PCRLv2FinetuneTrainer)
    trainer.local_rank, trainer.fold, trainer.configuration_name = 0, 0, "3d_fullres"
    trainer.output_folder = str(folder)
    trainer.preprocessed_dataset_folder_base = str(tree.preprocessed)
    trainer.dataset_json = tree.dataset_json
    trainer.label_manager = SimpleNamespace(
        has_regions=False, foreground_labels=[1, 2], ignore_label=None
    )
    trainer.plans_manager = SimpleNamespace(
        image_reader_writer_class=SimpleITKIO, dataset_name=tree.raw.name
    )
    trainer.log = []
    trainer.print_to_log_file = lambda *words, **_: trainer.log.append(" ".join(map(str, words)))
    return trainer


@pytest.fixture
def shown(monkeypatch) -> list:
    """The cases that are drawn, instead of the picture."""
    cases = []
    monkeypatch.setattr(
        validation_pictures,
        "draw_cases",
        lambda data, predictions, chosen, *_: cases.extend(chosen),
    )
    return cases


def test_best_median_and_worst_case_are_drawn_with_their_dice(tree, shown):
    draw_validation_cases(validated(tree))
    assert [(case.rank, case.case) for case in shown] == [
        ("best", "1.2.3_a"),
        ("median", "b"),
        ("worst", "d"),
    ]
    # Half of the first organ of six slices is missed, the second is hit.
    assert shown[2].scores == (("Dice 0.750", "first 0.50  second 1.00"),)


def test_the_picture_lies_in_the_result_folder(tree):
    path = draw_validation_cases(validated(tree))
    assert path.name == "validation_cases.png"
    assert path.parent == tree.folder("T", 0)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_validation_ends_well_where_the_picture_cannot_be_drawn(tree, monkeypatch):
    validations = []
    monkeypatch.setattr(
        nnUNetTrainer, "perform_actual_validation", lambda self, save: validations.append(save)
    )
    trainer = validated(tree)
    for path in (tree.raw / "imagesTr").iterdir():
        path.unlink()
    trainer.perform_actual_validation(True)
    assert validations == [True]
    (line,) = trainer.log
    assert "validation_cases.png failed" in line
    assert "There is no image of" in line and "nnUNet_raw must hold it" in line
    # Other ranks draw nothing.
    trainer.local_rank = 1
    trainer.perform_actual_validation()
    assert len(trainer.log) == 1


def test_a_validation_without_any_dice_says_so(tree):
    nothing = {case: np.zeros_like(segmentation()) for case in SHIFTS}
    trainer = validated(tree, nothing)
    path = Path(trainer.output_folder) / "validation" / "summary.json"
    path.write_text(path.read_text().replace('"Dice": 0.0', '"Dice": NaN'))
    with pytest.raises(ValueError, match="no label is in any of them"):
        draw_validation_cases(trainer)


def test_images_are_found_in_both_forms_of_data_sets(tree, tmp_path):
    (found,) = image_files(tree.raw, tree.dataset_json, "b")
    assert found == tree.raw / "imagesTr" / "b_0000.nii.gz"
    listed = {**tree.dataset_json, "dataset": {"b": {"images": ["imagesTr/b_0000.nii.gz"]}}}
    assert image_files(tree.raw, listed, "b") == [found]
    with pytest.raises(ValueError, match=r"no image of e in .* \(0 of 1 channels\)"):
        image_files(tree.raw, tree.dataset_json, "e")


def test_one_file_may_hold_all_channels_but_none_of_several_may_be_missing(tree):
    colours = {**tree.dataset_json, "channel_names": {"0": "R", "1": "G", "2": "B"}}
    assert len(image_files(tree.raw, colours, "b")) == 1
    tree._write(tree.raw / "imagesTr", "b_0002", segmentation())
    with pytest.raises(ValueError, match="2 of 3 channels"):
        image_files(tree.raw, colours, "b")


def test_a_prediction_on_another_grid_is_refused(tree):
    (image,) = image_files(tree.raw, tree.dataset_json, "b")
    small = tree._write(tree.raw, "small", segmentation()[:5])
    with pytest.raises(ValueError, match=r"small.nii.gz has shape \(5, 12, 16\), its image \(14"):
        read_case(SimpleITKIO(), tree.dataset_json, [image], [small])
