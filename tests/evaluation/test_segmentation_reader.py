import json
import math
from dataclasses import replace

import numpy as np
import pytest
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from results_tree import LENGTH, SPACING_MM, ResultsTree, segmentation

from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.metric import MEAN
from nnunetv2_pcrl.evaluation.segmentation_reader import (
    AVERAGE_DISTANCE,
    DICE,
    FALSE_ALARMS,
    HAUSDORFF,
    SegmentationReader,
)
from nnunetv2_pcrl.label_folds.table import LabelFold

FOLDS = [LabelFold(5, 0, 3, 0.01, 0)]
REGIONS = {
    "labels": {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3},
    "regions_class_order": [1, 2],
}


def tree(root, dataset_json=None, references=None) -> ResultsTree:
    return ResultsTree(root, FOLDS, references or {"a": segmentation()}, dataset_json)


def scores_of(made: ResultsTree, folder, with_surfaces: bool = True):
    reader = SegmentationReader.of_dataset(made.preprocessed, "nnUNetPlans", with_surfaces)
    return reader.scores(folder, 5, Measured(made.results / "measured.json"))


def test_dice_and_distances_of_a_shifted_box(tmp_path):
    made = tree(tmp_path)
    scores = scores_of(made, made.add_run("T", 5, {"a": segmentation(shift=1)}))
    dice = 1 - 1 / LENGTH
    assert scores[DICE]["first"]["a"] == pytest.approx(dice)
    assert scores[DICE]["second"]["a"] == 1
    assert scores[DICE][MEAN]["a"] == pytest.approx((dice + 1) / 2)
    # Both end faces are a slice of 2 mm apart, and more than 5 % of the surface.
    assert scores[HAUSDORFF]["first"]["a"] == SPACING_MM[0]
    assert scores[HAUSDORFF][MEAN]["a"] == SPACING_MM[0] / 2
    assert scores[AVERAGE_DISTANCE]["second"]["a"] == 0


def test_a_label_in_neither_is_left_out_and_one_that_is_missed_has_no_distance(tmp_path):
    references = {"a": segmentation(), "b": segmentation(second=False)}
    made = tree(tmp_path, references=references)
    predictions = {name: segmentation(second=False) for name in references}
    scores = scores_of(made, made.add_run("T", 5, predictions))
    assert scores[DICE]["second"]["a"] == 0
    assert math.isnan(scores[DICE]["second"]["b"])
    assert scores[DICE][MEAN] == {"a": 0.5, "b": 1.0}
    assert scores[HAUSDORFF]["second"]["a"] == math.inf
    assert math.isnan(scores[HAUSDORFF]["second"]["b"])
    assert scores[HAUSDORFF][MEAN] == {"a": math.inf, "b": 0.0}


def test_what_is_found_where_nothing_is_does_not_decide_what_is_counted(tmp_path):
    # As slices without a tumour: one training finds some of it there, the other does not.
    references = {"a": segmentation(), "b": segmentation(second=False)}
    made = tree(tmp_path, references=references)
    found = {"a": segmentation(shift=1), "b": segmentation()}
    quiet = {"a": segmentation(shift=1), "b": segmentation(second=False)}
    outcomes = [
        scores_of(made, made.add_run(trainer, 5, predictions))
        for trainer, predictions in (("Finds", found), ("Quiet", quiet))
    ]
    for scores in outcomes:
        assert math.isnan(scores[DICE]["second"]["b"])
        assert math.isnan(scores[HAUSDORFF]["second"]["b"])
        assert math.isnan(scores[FALSE_ALARMS]["second"]["a"])
        assert math.isnan(scores[FALSE_ALARMS][MEAN]["a"])
    for label in ("first", "second", MEAN):
        dice = [scores[DICE][label] for scores in outcomes]
        assert dice[0] == pytest.approx(dice[1], nan_ok=True)
    assert [scores[FALSE_ALARMS]["second"]["b"] for scores in outcomes] == [1, 0]
    assert [scores[FALSE_ALARMS][MEAN]["b"] for scores in outcomes] == [1, 0]


def test_regions_are_measured_as_one_and_ignored_voxels_are_not(tmp_path):
    reference, prediction = segmentation(), segmentation(shift=1)
    # Where the reference is to be ignored, any prediction is right.
    reference[10:, 10:] = 3
    prediction[10:, 10:] = 2
    made = tree(tmp_path, REGIONS, {"a": reference})
    scores = scores_of(made, made.add_run("T", 5, {"a": prediction}))
    assert list(scores[HAUSDORFF]) == ["whole", "core", "mean"]
    assert scores[HAUSDORFF]["core"]["a"] == 0
    assert scores[HAUSDORFF]["whole"]["a"] == SPACING_MM[0]


def test_distances_are_measured_once_until_a_file_changes(tmp_path, monkeypatch):
    made = tree(tmp_path)
    folder = made.add_run("T", 5, {"a": segmentation(shift=1)})
    reader = SegmentationReader.of_dataset(made.preprocessed, "nnUNetPlans", True)
    first = Measured(tmp_path / "measured.json")
    before = reader.scores(folder, 5, first)
    first.save()
    unreadable = replace(reader, reader=None)
    again = unreadable.scores(folder, 5, Measured(tmp_path / "measured.json"))
    assert again == before
    made._write(folder / "validation", "a", segmentation())
    changed = reader.scores(folder, 5, Measured(tmp_path / "measured.json"))
    assert changed[HAUSDORFF]["first"]["a"] == 0
    odd = json.dumps(dict.fromkeys(json.loads((tmp_path / "measured.json").read_text()), 3))
    for content in ("{damaged", "[]", odd):
        (tmp_path / "measured.json").write_text(content)
        again = reader.scores(folder, 5, Measured(tmp_path / "measured.json"))
        assert again == changed


def test_2d_images_have_no_distance_across_their_slice(tmp_path):
    made = tree(tmp_path)
    folder = made.add_run("T", 5, {"a": segmentation()})
    rename_cases(folder, "a.png")
    films = NaturalImage2DIO()
    for place, column in ((made.preprocessed / "gt_segmentations", 3), (folder / "validation", 5)):
        mask = np.zeros((1, 9, 9), np.uint8)
        mask[0, 2:6, column] = 1
        films.write_seg(mask, str(place / "a.png"), {})
    reader = SegmentationReader.of_dataset(made.preprocessed, "nnUNetPlans", True)
    flat = replace(
        reader, reader=films, dataset_json={**reader.dataset_json, "file_ending": ".png"}
    )
    scores = flat.scores(folder, 5, Measured(tmp_path / "measured.json"))
    assert scores[AVERAGE_DISTANCE]["first"]["a"] == 2


def rename_cases(folder, name: str) -> None:
    path = folder / "validation" / "summary.json"
    path.write_text(path.read_text().replace("a.nii.gz", name))


def change(folder, edit) -> None:
    path = folder / "validation" / "summary.json"
    content = json.loads(path.read_text())
    edit(content["metric_per_case"])
    path.write_text(json.dumps(content))


def test_summaries_that_cannot_be_compared_are_refused(tmp_path):
    made = tree(tmp_path)
    folder = made.add_run("T", 5, {"a": segmentation()})

    def refused(words: str) -> None:
        with pytest.raises(ValueError, match=words):
            scores_of(made, folder, with_surfaces=False)

    original = (folder / "validation" / "summary.json").read_text()
    change(folder, lambda entries: entries.append(entries[0]))
    refused("holds a more than once")
    (folder / "validation" / "summary.json").write_text(original)
    rename_cases(folder, "z.nii.gz")
    refused(r"missing: a; not of the fold: z")
    (folder / "validation" / "summary.json").write_text(original)
    change(folder, lambda entries: entries[0]["metrics"].pop("2"))
    refused(r"holds the labels 1 for a, dataset.json has 1, 2")
    (folder / "validation" / "summary.json").write_text("{}")
    refused(r"no summary of a validation \(KeyError")


def test_what_is_missing_is_named_with_the_remedy(tmp_path):
    made = tree(tmp_path)
    folder = made.add_run("T", 5, {"a": segmentation()})
    (folder / "validation" / "a.nii.gz").write_bytes(b"cut off")
    with pytest.raises(ValueError, match=r"a.nii.gz cannot be read .*--no_surface"):
        scores_of(made, folder)
    (folder / "validation" / "a.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"no .*a.nii.gz to measure .*--no_surface"):
        scores_of(made, folder)
    assert list(scores_of(made, folder, with_surfaces=False)) == [DICE, FALSE_ALARMS]
    reader = SegmentationReader.of_dataset(made.preprocessed, "nnUNetPlans", True)
    with pytest.raises(ValueError, match="has 6 folds, none with the number 9"):
        reader.scores(folder, 9, Measured(tmp_path / "m.json"))
    with pytest.raises(ValueError, match="no .*OtherPlans.json"):
        SegmentationReader.of_dataset(made.preprocessed, "OtherPlans", True)
