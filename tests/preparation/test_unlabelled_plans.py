import os

import pytest
from prepared_dataset import configuration, plans

from nnunetv2_pcrl.preparation.unlabelled_plans import (
    default_plans_name,
    find_planner,
    plan,
    plan_after,
)
from nnunetv2_pcrl.settings.environment import WORKERS_VARIABLE

DATASET = "Dataset007_Bare"


def dataset_json(*channels: str) -> dict:
    return {
        "channel_names": {str(i): name for i, name in enumerate(channels)},
        "labels": {"background": 0},
        "file_ending": ".nii.gz",
    }


def fingerprint(shape=(40, 50, 60), spacing=(2.0, 1.0, 1.0), relative_size=1.0) -> dict:
    return {
        "spacings": [list(spacing)] * 3,
        "shapes_after_crop": [list(shape)] * 3,
        "foreground_intensity_properties_per_channel": {"0": {"mean": 40.0, "std": 20.0}},
        "median_relative_size_after_cropping": relative_size,
    }


def target_plans() -> dict:
    """Plans of a four-channel data set with a cascade, and with data of its own axis order."""
    channels = {
        "normalization_schemes": ["ZScoreNormalization"] * 4,
        "use_mask_for_norm": [True] * 4,
    }
    return plans(
        {
            "2d": configuration(2, **channels),
            "3d_fullres": configuration(3, **channels, spacing=[3.0, 1.5, 1.5], next_stage="x"),
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
            "3d_wide": {"inherits_from": "3d_fullres", "batch_size": 4},
        }
    ) | {
        "transpose_forward": [2, 0, 1],
        "transpose_backward": [1, 2, 0],
        "dataset_name": "Dataset043_T",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planner", "name", "network"),
    [
        ("ExperimentPlanner", "nnUNetPlans_unlabelled", "PlainConvUNet"),
        ("nnUNetPlannerResEncM", "nnUNetResEncUNetMPlans_unlabelled", "ResidualEncoderUNet"),
    ],
)
def test_any_planner_plans_from_the_fingerprint_alone(planner, name, network, nnunet_folders):
    assert default_plans_name(planner) == name
    before = dict(os.environ)
    made = plan(planner, DATASET, dataset_json("CT"), fingerprint(), "SimpleITKIO", name)
    assert dict(os.environ) == before
    assert not any((nnunet_folders / "nnUNet_preprocessed").iterdir())
    assert set(made["configurations"]) == {"2d", "3d_fullres"}
    values = made["configurations"]["3d_fullres"]
    assert values["spacing"] == [2.0, 1.0, 1.0]
    assert values["normalization_schemes"] == ["CTNormalization"]
    assert values["architecture"]["network_class_name"].endswith(network)
    # Data folders are not those of labelled cases, which the presets share.
    assert values["data_identifier"] == f"{name}_3d_fullres"
    assert made["planned_for"] == {"dataset_name": DATASET, "plans_name": name}
    assert made["plans_name"] == name


def test_an_unknown_planner_is_refused():
    with pytest.raises(ValueError, match="no planner 'ResEncZ'"):
        find_planner("ResEncZ")


def test_a_target_gives_the_network_and_the_images_their_normalisation():
    target = target_plans()
    made = plan_after(target, DATASET, dataset_json("CT"), fingerprint(), "SimpleITKIO", "P")
    assert set(made["configurations"]) == {"2d", "3d_fullres", "3d_wide"}
    values, wanted = (p["configurations"]["3d_fullres"] for p in (made, target))
    for key in ("architecture", "patch_size", "spacing", "batch_size"):
        assert values[key] == wanted[key]
    assert "next_stage" not in values
    assert values["normalization_schemes"] == ["CTNormalization"]
    assert values["use_mask_for_norm"] == [False]
    assert values["data_identifier"] == "P_3d_fullres"
    assert made["configurations"]["3d_wide"] == {"inherits_from": "3d_fullres", "batch_size": 4}
    assert made["foreground_intensity_properties_per_channel"]["0"]["mean"] == 40.0
    assert made["planned_for"] == {"dataset_name": "Dataset043_T", "plans_name": "nnUNetPlans"}
    assert (made["dataset_name"], made["plans_name"]) == (DATASET, "P")


def test_axes_are_those_of_the_target():
    made = plan_after(
        target_plans(), DATASET, dataset_json("CT"), fingerprint(), "SimpleITKIO", "P"
    )
    assert made["transpose_forward"] == [2, 0, 1]
    assert made["original_median_spacing_after_transp"] == [1.0, 2.0, 1.0]
    assert made["original_median_shape_after_transp"] == [60, 40, 50]


def test_images_within_a_margin_are_normalised_inside_it():
    small = fingerprint(relative_size=0.5)
    made = plan_after(target_plans(), DATASET, dataset_json("T1", "CT"), small, "SimpleITKIO", "P")
    values = made["configurations"]["3d_fullres"]
    assert values["normalization_schemes"] == ["ZScoreNormalization", "CTNormalization"]
    assert values["use_mask_for_norm"] == [True, False]


def test_the_target_is_not_modified():
    target = target_plans()
    plan_after(target, DATASET, dataset_json("CT"), fingerprint(), "SimpleITKIO", "P")
    assert target == target_plans()


def test_2d_images_take_the_2d_configuration_or_are_refused():
    flat = fingerprint(shape=(1, 50, 60), spacing=(999, 1, 1))
    arguments = (DATASET, dataset_json("CT"), flat, "NaturalImage2DIO", "P")
    target = target_plans()
    assert set(plan_after(target, *arguments)["configurations"]) == {"2d"}
    del target["configurations"]["2d"]
    with pytest.raises(ValueError, match="Dataset043_T have no 2D configuration"):
        plan_after(target, *arguments)


def test_images_that_take_the_normalisation_of_their_target_are_not_warned_of():
    # CT before MR of four channels: the chain of the how-to.
    arguments = (DATASET, dataset_json("CT"), fingerprint(), "SimpleITKIO", "P")
    made = plan_after(target_plans(), *arguments, "target")
    values = made["configurations"]["3d_fullres"]
    assert values["normalization_schemes"] == ["ZScoreNormalization"]
    assert values["use_mask_for_norm"] == [True]
    assert made["foreground_intensity_properties_per_channel"]["0"]["mean"] == 40.0
    target = target_plans()["configurations"]["3d_fullres"]
    assert set(values["normalization_schemes"]) == set(target["normalization_schemes"])


def test_planning_does_not_mind_that_trainings_have_no_workers(monkeypatch):
    monkeypatch.setenv(WORKERS_VARIABLE, "0")
    images = (dataset_json("CT"), fingerprint(), "SimpleITKIO")
    planned = plan("ExperimentPlanner", DATASET, *images, "nnUNetPlans_unlabelled")
    assert planned["configurations"]["2d"]["patch_size"]
    assert os.environ[WORKERS_VARIABLE] == "0"
