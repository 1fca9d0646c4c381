"""The adaptation plan against the contract of nnssl and nnU-Net's pretrained-weights commands."""

import json
import warnings

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from planned_networks import GEOMETRIES, planned_network
from torch import nn

from nnunetv2_pcrl.weights.adaptation_plan import build_adaptation_plan
from nnunetv2_pcrl.weights.portable import write_weights
from nnunetv2_pcrl.weights.reading import read_weights

MODULE = "dynamic_network_architectures.architectures.unet"
ARCHITECTURES = ("PlainConvUNet", "ResidualEncoderUNet")
NAMES = {"2d": "2d", "3d": "3d_fullres", "anisotropic": "3d_lowres"}
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES)


def make_configuration(architecture: str, geometry: str, num_channels: int) -> dict:
    """One configuration as nnUNetPlans.json holds it."""
    plan = GEOMETRIES[geometry]
    num_axes = len(plan.global_size)
    blocks = "n_conv_per_stage" if architecture == "PlainConvUNet" else "n_blocks_per_stage"

    def resampling(is_seg: bool, order: int) -> dict:
        return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}

    return {
        "data_identifier": f"nnUNetPlans_{NAMES[geometry]}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [4 * size for size in plan.global_size],
        "median_image_size_in_voxels": [50.0] * num_axes,
        "spacing": [3, 0.78125, 0.78125][-num_axes:],
        "normalization_schemes": ["ZScoreNormalization"] * num_channels,
        "use_mask_for_norm": [False] * num_channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling(False, 3),
        "resampling_fn_seg_kwargs": resampling(True, 1),
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling(False, 1),
        "architecture": {
            "network_class_name": f"{MODULE}.{architecture}",
            "arch_kwargs": {
                "n_stages": 4,
                "features_per_stage": [4, 8, 16, 16],
                "conv_op": f"torch.nn.modules.conv.Conv{num_axes}d",
                "kernel_sizes": plan.kernel_sizes,
                "strides": plan.strides,
                blocks: [1, 2, 1, 1],
                "n_conv_per_stage_decoder": [2, 1, 2],
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{num_axes}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }


def make_plans(architecture: str, num_channels: int) -> dict:
    """nnUNetPlans.json of a data set with three configurations."""
    intensities = {"max": 3071.0, "mean": 99.3, "median": 101.0, "min": -1024.0, "std": 37.1}
    return {
        "dataset_name": "Dataset009_SpleenCrop",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [3, 0.78125, 0.78125],
        "original_median_shape_after_transp": [90, 512, 512],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            NAMES[geometry]: make_configuration(architecture, geometry, num_channels)
            for geometry in GEOMETRIES
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": intensities},
    }


def make_adaptation_plan(architecture: str, geometry: str, num_channels: int = 1) -> dict:
    plans = make_plans(architecture, num_channels)
    network = planned_network(architecture, geometry, num_channels)
    return build_adaptation_plan(
        plans,
        plans["configurations"][NAMES[geometry]],
        NAMES[geometry],
        num_channels,
        network.key_to_encoder,
        network.key_to_stem,
        network.keys_to_in_proj,
    )


def assert_plain(value, where: str = "plan") -> None:
    """Dictionaries with text keys, lists, text, numbers, booleans and None, by exact type."""
    if type(value) is dict:
        for key, item in value.items():
            assert type(key) is str, where
            assert_plain(item, f"{where}[{key!r}]")
    elif type(value) is list:
        for index, item in enumerate(value):
            assert_plain(item, f"{where}[{index}]")
    else:
        assert value is None or type(value) in (str, int, float, bool), f"{where}: {value!r}"


@every_architecture
@every_geometry
@pytest.mark.parametrize("num_channels", [1, 3])
def test_the_plan_holds_every_key_of_the_contract_with_its_type(
    architecture, geometry, num_channels
):
    plan = make_adaptation_plan(architecture, geometry, num_channels)
    assert set(plan) == {
        "architecture_plans",
        "pretrain_plan",
        "pretrain_num_input_channels",
        "recommended_downstream_patchsize",
        "key_to_encoder",
        "key_to_stem",
        "keys_to_in_proj",
        "key_to_lpe",
        "architecture_kwargs",
    }
    assert set(plan["architecture_plans"]) == {
        "arch_class_name",
        "arch_kwargs",
        "arch_kwargs_requiring_import",
    }
    assert plan["architecture_plans"]["arch_class_name"].endswith(ARCHITECTURES)
    assert set(plan["architecture_kwargs"]) == {"kernel_sizes", "n_stages"}
    assert set(plan["pretrain_plan"]) == {
        "dataset_name",
        "plans_name",
        "original_median_spacing_after_transp",
        "image_reader_writer",
        "transpose_forward",
        "transpose_backward",
        "configurations",
        "experiment_planner_used",
    }
    (configuration,) = plan["pretrain_plan"]["configurations"].values()
    assert set(configuration) == {
        "data_identifier",
        "preprocessor_name",
        "spacing_style",
        "normalization_schemes",
        "use_mask_for_norm",
        "resampling_fn_data",
        "resampling_fn_data_kwargs",
        "resampling_fn_mask",
        "resampling_fn_mask_kwargs",
        "spacing",
        "patch_size",
    }
    assert type(plan["pretrain_num_input_channels"]) is int
    assert plan["pretrain_num_input_channels"] == num_channels
    assert type(plan["keys_to_in_proj"]) is list
    assert all(type(plan[key]) is str for key in ("key_to_encoder", "key_to_stem"))
    assert plan["key_to_lpe"] is None


@every_architecture
@every_geometry
def test_the_plan_is_plain_python_and_survives_json_and_a_safe_read(
    architecture, geometry, tmp_path
):
    plan = make_adaptation_plan(architecture, geometry)
    assert_plain(plan)
    assert json.loads(json.dumps(plan)) == plan
    path = tmp_path / "pretrained_weights.pth"
    write_weights(path, {"a": torch.ones(1)}, {"nnssl_adaptation_plan": plan})
    assert read_weights(path)["nnssl_adaptation_plan"] == plan
    assert torch.load(path, weights_only=True)["nnssl_adaptation_plan"] == plan


@every_geometry
def test_the_values_are_those_of_the_nnu_net_plans(geometry):
    plans = make_plans("PlainConvUNet", 1)
    name = NAMES[geometry]
    configuration = plans["configurations"][name]
    plan = make_adaptation_plan("PlainConvUNet", geometry)
    pretrain = plan["pretrain_plan"]
    assert pretrain["dataset_name"] == "Dataset009_SpleenCrop"
    assert pretrain["original_median_spacing_after_transp"] == [3.0, 0.78125, 0.78125]
    assert pretrain["transpose_forward"] == [0, 1, 2]
    assert list(pretrain["configurations"]) == [name]
    pretraining = pretrain["configurations"][name]
    for key in ("data_identifier", "spacing", "patch_size", "resampling_fn_data_kwargs"):
        assert pretraining[key] == configuration[key]
    assert all(type(value) is float for value in pretraining["spacing"])
    assert pretraining["resampling_fn_mask"] == configuration["resampling_fn_seg"]
    assert pretraining["resampling_fn_mask_kwargs"] == configuration["resampling_fn_seg_kwargs"]
    assert plan["recommended_downstream_patchsize"] == configuration["patch_size"]
    assert plan["architecture_kwargs"] == {
        "kernel_sizes": GEOMETRIES[geometry].kernel_sizes,
        "n_stages": 4,
    }


def test_the_nnu_net_plans_are_not_modified():
    plans = make_plans("PlainConvUNet", 1)
    before = json.dumps(plans)
    plan = build_adaptation_plan(
        plans, plans["configurations"]["2d"], "2d", 1, "encoder.stages", "encoder.stages.0", ["a"]
    )
    plan["pretrain_plan"]["transpose_forward"].append(3)
    plan["architecture_plans"]["arch_kwargs"]["n_stages"] = 9
    assert json.dumps(plans) == before


@every_architecture
@every_geometry
def test_the_keys_name_modules_of_the_network_and_input_weights_of_the_file(architecture, geometry):
    plan = make_adaptation_plan(architecture, geometry, num_channels=3)
    network = planned_network(architecture, geometry, 3)
    weights = network.state_dict()
    for key in (plan["key_to_encoder"], plan["key_to_stem"], *plan["keys_to_in_proj"]):
        assert isinstance(network.get_submodule(key), nn.Module)
    assert plan["key_to_encoder"].startswith("encoder")
    for key in plan["keys_to_in_proj"]:
        assert weights[f"{key}.weight"].shape[1] == 3


@every_architecture
@every_geometry
def test_nnu_net_builds_the_pretrained_network_from_the_plan(architecture, geometry):
    plan = make_adaptation_plan(architecture, geometry, num_channels=3)
    with warnings.catch_warnings():
        # nnU-Net says that it looks the short class name up.
        warnings.simplefilter("ignore")
        network = get_network_from_plans(
            plan["architecture_plans"]["arch_class_name"],
            plan["architecture_plans"]["arch_kwargs"],
            plan["architecture_plans"]["arch_kwargs_requiring_import"],
            plan["pretrain_num_input_channels"],
            3,
        )
    expected = planned_network(architecture, geometry, 3).state_dict()
    assert {k: v.shape for k, v in network.state_dict().items()} == {
        k: v.shape for k, v in expected.items()
    }
