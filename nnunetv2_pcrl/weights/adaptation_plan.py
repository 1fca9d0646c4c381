"""The `nnssl_adaptation_plan`: what nnU-Net's pretrained-weights commands read from a file."""

from collections.abc import Mapping, Sequence
from typing import Any


def build_adaptation_plan(
    plans: Mapping[str, Any],
    configuration: Mapping[str, Any],
    configuration_name: str,
    num_input_channels: int,
    key_to_encoder: str,
    key_to_stem: str,
    keys_to_in_proj: Sequence[str],
) -> dict[str, Any]:
    """Describes a pretrained network so that others can plan and preprocess like it.

    Args:
        plans: the nnU-Net plans that the network was made from.
        configuration: its configuration, inheritance resolved.
        configuration_name: e.g. 3d_fullres.
        num_input_channels: channels that the pretraining saw.
        key_to_encoder, key_to_stem, keys_to_in_proj: module paths as the network names them.

    Returns:
        Plain Python only, as the contract of nnssl and nnU-Net demands.
    """
    architecture = configuration["architecture"]
    kwargs = dict(architecture["arch_kwargs"])
    patch_size = [int(size) for size in configuration["patch_size"]]
    pretraining_configuration = {
        "data_identifier": configuration["data_identifier"],
        "preprocessor_name": configuration["preprocessor_name"],
        "spacing_style": "fixed",
        "normalization_schemes": list(configuration["normalization_schemes"]),
        "use_mask_for_norm": list(configuration["use_mask_for_norm"]),
        "resampling_fn_data": configuration["resampling_fn_data"],
        "resampling_fn_data_kwargs": dict(configuration["resampling_fn_data_kwargs"]),
        # nnssl's masks are label maps to nnU-Net.
        "resampling_fn_mask": configuration["resampling_fn_seg"],
        "resampling_fn_mask_kwargs": dict(configuration["resampling_fn_seg_kwargs"]),
        "spacing": [float(value) for value in configuration["spacing"]],
        "patch_size": patch_size,
    }
    return {
        "architecture_plans": {
            "arch_class_name": architecture["network_class_name"].rsplit(".", 1)[-1],
            "arch_kwargs": kwargs,
            "arch_kwargs_requiring_import": list(architecture["_kw_requires_import"]),
        },
        "pretrain_plan": {
            "dataset_name": plans["dataset_name"],
            "plans_name": plans["plans_name"],
            "original_median_spacing_after_transp": [
                float(value) for value in plans["original_median_spacing_after_transp"]
            ],
            "image_reader_writer": plans["image_reader_writer"],
            "transpose_forward": list(plans["transpose_forward"]),
            "transpose_backward": list(plans["transpose_backward"]),
            "configurations": {configuration_name: pretraining_configuration},
            "experiment_planner_used": plans["experiment_planner_used"],
        },
        "pretrain_num_input_channels": int(num_input_channels),
        "recommended_downstream_patchsize": patch_size,
        "key_to_encoder": key_to_encoder,
        "key_to_stem": key_to_stem,
        "keys_to_in_proj": list(keys_to_in_proj),
        "key_to_lpe": None,
        "architecture_kwargs": {
            "kernel_sizes": kwargs["kernel_sizes"],
            "n_stages": kwargs["n_stages"],
        },
    }
