import math

from nnunetv2_pcrl.tasks.segmentation.label_names import label_names
from nnunetv2_pcrl.tasks.segmentation.ranking import best_median_worst, ranks_by_case


def test_the_median_is_a_case_and_the_better_of_two_in_the_middle():
    values = {"a": 0.1, "b": 0.9, "c": 0.5, "d": math.nan}
    assert best_median_worst(values) == {"best": "b", "median": "c", "worst": "a"}
    assert best_median_worst({**values, "e": 0.6})["median"] == "e"
    distances = {"a": 3.0, "b": 1.0, "c": math.inf}
    assert best_median_worst(distances, False) == {"best": "b", "median": "b", "worst": "a"}
    assert best_median_worst({"d": math.nan}) == {}


def test_a_case_that_is_several_things_is_shown_once():
    assert ranks_by_case({"best": "a", "median": "b", "worst": "b"}) == {
        "a": "best",
        "b": "median, worst",
    }


def test_a_region_of_several_labels_has_the_name_of_dataset_json():
    assert label_names([(1, 2), 2], {"background": 0, "whole": [1, 2], "core": 2}) == {
        (1, 2): "whole",
        2: "core",
    }
    assert label_names([1], {"background": 0, "mean": 1}, taken="mean") == {1: "mean 1"}
