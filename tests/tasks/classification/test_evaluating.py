"""The files of an evaluation: numbers, curves, the most wrong cases as pictures."""

import json
import math

import numpy as np
import pytest
from raw_images import write_image

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.classification.curves import draw_curves
from nnunetv2_pcrl.tasks.classification.evaluating import scores_in_words, write_evaluation
from nnunetv2_pcrl.tasks.classification.pictures import PreprocessedPictures, RawPictures
from nnunetv2_pcrl.tasks.classification.wrong_cases import draw_most_wrong, most_wrong
from nnunetv2_pcrl.tasks.encoder.ranking import average_precision
from nnunetv2_pcrl.tasks.encoder.scores import scores_of

NAN = math.nan


@pytest.fixture
def table():
    cases = tuple(f"case_{n}" for n in range(8))
    targets = np.array([[n % 2, 0, 1 if n else NAN] for n in range(8)], dtype=float)
    names = ("<odd>", "never", "always")
    return ClassTable(cases, cases, ("train", "test") * 4, names, "multilabel", targets)


@pytest.fixture
def predicted():
    return np.stack([np.array([5, 6, 1, 2, 3, 4, 7, 8]) / 10] * 3, axis=1)


class NoPictures:
    def of(self, identifier):
        return None


class Squares:
    def of(self, identifier):
        return None if identifier == "case_0" else np.eye(6)


def test_the_most_wrong_are_the_surest_on_the_wrong_side(table, predicted):
    wrong = most_wrong(table, predicted)
    named = [(case.identifier, case.is_positive) for case in wrong["<odd>"]]
    # Of even cases the highest, of odd ones the lowest.
    assert named == [
        ("case_6", False),
        ("case_0", False),
        ("case_4", False),
        ("case_3", True),
        ("case_5", True),
        ("case_1", True),
    ]
    assert [case.probability for case in wrong["<odd>"]] == [0.7, 0.5, 0.3, 0.2, 0.4, 0.6]
    assert not any(case.is_positive for case in wrong["never"])


def test_pictures_are_drawn_where_there_are_some(table, predicted):
    wrong = most_wrong(table, predicted)
    assert draw_most_wrong(wrong, NoPictures()) is None
    figure = draw_most_wrong(wrong, Squares())
    num_cases = sum(len(cases) for cases in wrong.values())
    num_without = sum(case.identifier == "case_0" for cases in wrong.values() for case in cases)
    assert len(figure.axes) == num_cases
    assert sum(bool(ax.images) for ax in figure.axes) == num_cases - num_without


def test_curves_are_drawn_of_classes_that_are_defined(table, predicted):
    figure = draw_curves(table, predicted, scores_of(table, predicted))
    assert len(figure.axes) == 3
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0].startswith("<odd>: AUROC 0.625")
    # The area under the steps is the average precision.
    (steps,) = [line for line in figure.axes[1].lines if line.get_drawstyle() == "steps-post"]
    recall, precision = steps.get_data()
    area = np.sum((recall[:-1] - recall[1:]) * precision[:-1])
    assert area == pytest.approx(average_precision(predicted[:, 0], table.targets[:, 0])[0])


def test_without_any_defined_class_the_figure_says_so(table, predicted):
    none = ClassTable(
        table.identifiers, table.patients, table.lists, ("never",), "multilabel", np.zeros((8, 1))
    )
    figure = draw_curves(none, predicted[:, :1], scores_of(none, predicted[:, :1]))
    assert not figure.axes
    assert "No class" in figure.texts[0].get_text()


@pytest.mark.slow
def test_summary_and_page_say_what_is_not_defined_and_of_which_lists_the_cases_are(
    tmp_path, table, predicted
):
    about = {"trainer": "<Trainer>", "nothing": None}
    scores = write_evaluation(tmp_path, table, predicted, Squares(), about)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["undefined"] == {
        "never": "all 8 known cases are negative",
        "always": "all 7 known cases are positive",
    }
    assert summary["about"] == {
        "trainer": "<Trainer>",
        "kind": "multilabel",
        "cases of official list": {"test": 4, "train": 4},
    }
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "&lt;odd&gt;" in page and "<odd>" not in page
    assert "not defined: all 8 known cases are negative" in page
    lines = scores_in_words(scores)
    assert "0.625" in lines[1] and "all 8 known cases are negative" in lines[2]
    assert lines[-1].startswith("mean")


def test_pictures_of_preprocessed_cases_show_the_middle(tmp_path, write_case):
    image = np.zeros((2, 5, 4, 6), dtype=np.float32)
    image[0, 2, 1, 3] = 1
    write_case(tmp_path, "case", image)
    pictures = PreprocessedPictures(tmp_path)
    np.testing.assert_array_equal(pictures.of("case"), image[0, 2])
    assert pictures.of("lost") is None


def test_pictures_of_raw_images_are_found_in_several_folders(tmp_path):
    array = np.zeros((5, 4, 6), dtype=np.uint8)
    array[2, 1, 3] = 1
    write_image(tmp_path / "a" / "case_1_0000.nii.gz", array)
    write_image(tmp_path / "b" / "case_2_0000.nii.gz", array)
    (tmp_path / "b" / "broken_0000.nii.gz").write_text("no image")
    pictures = RawPictures([tmp_path / "a", tmp_path / "b", tmp_path / "lost"])
    for case in ("case_1", "case_2"):
        np.testing.assert_array_equal(pictures.of(case), array[2])
    assert pictures.of("case_3") is None
    assert pictures.of("broken") is None
