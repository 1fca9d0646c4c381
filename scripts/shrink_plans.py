"""Derives small plans from planned ones, for machines without a GPU and for trying things out.

Patch, features and batch become smaller; spacing, normalisation and preprocessed data stay those
of the original plans, so nothing has to be preprocessed again. With `--min_spacing` voxels become
coarser too, so that a small patch sees more of the body; then the new plans are preprocessed:

    nnUNetv2_preprocess -d DATASET -plans_name nnUNetPlansSmall -c 2d
"""

import argparse
import json
from copy import deepcopy
from pathlib import Path


def shrink_plans(
    plans: dict,
    plans_name: str,
    base_features: int,
    max_features: int,
    max_patch: int,
    batch_size: int,
    settings: dict | None = None,
    min_spacing: float = 0,
) -> dict:
    """Plans of another name whose networks are thinner and shallower.

    Args:
        plans: nnU-Net plans.
        plans_name: name of the new plans.
        base_features: channels of the first stage, doubled per stage.
        max_features: most channels of a stage.
        max_patch: longest side of a patch, in voxels.
        batch_size: of a segmentation training.
        settings: the `"nnunetv2_pcrl"` section to put into every configuration.
        min_spacing: finest spacing of an axis, in the images' unit (mm); coarser axes stay. Where
            it changes a configuration, that has a `data_identifier` of its own.

    Returns:
        New plans; the given ones are not modified. Configurations that inherit or belong to a
        cascade are left out.
    """
    small = deepcopy(plans)
    small["plans_name"] = plans_name
    # The small network is not the one that another data set's plans ask for.
    small.pop("planned_for", None)
    small["configurations"] = {
        name: configuration
        for name, configuration in small["configurations"].items()
        if "architecture" in configuration and "previous_stage" not in configuration
    }
    for name, configuration in small["configurations"].items():
        configuration.pop("next_stage", None)
        _coarsen(configuration, min_spacing, f"{plans_name}_{name}")
        _shrink(configuration, base_features, max_features, max_patch, batch_size, settings)
    return small


def _coarsen(configuration: dict, min_spacing: float, data_identifier: str) -> None:
    """Image and patch keep their extent in millimetres."""
    planned = configuration["spacing"]
    spacing = [max(side, min_spacing) for side in planned]
    if spacing == planned:
        return
    configuration |= {"spacing": spacing, "data_identifier": data_identifier}
    ratios = [old / new for old, new in zip(planned, spacing, strict=True)]
    for name, rounded in (("median_image_size_in_voxels", float), ("patch_size", round)):
        sides = zip(configuration[name], ratios, strict=True)
        configuration[name] = [rounded(side * ratio) for side, ratio in sides]


def _shrink(
    configuration: dict,
    base_features: int,
    max_features: int,
    max_patch: int,
    batch_size: int,
    settings: dict | None,
) -> None:
    kwargs = configuration["architecture"]["arch_kwargs"]
    strides = kwargs["strides"]
    # As many stages as leave four voxels of the longest side at the bottleneck.
    wanted = [min(side, max_patch) for side in configuration["patch_size"]]
    num_stages = 1
    totals = list(strides[0])
    for stride in strides[1:]:
        next_totals = [a * b for a, b in zip(totals, stride, strict=True)]
        if any(side // total < 4 < total for side, total in zip(wanted, next_totals, strict=True)):
            break
        totals, num_stages = next_totals, num_stages + 1
    for name, value in kwargs.items():
        if isinstance(value, list) and name != "n_conv_per_stage_decoder":
            kwargs[name] = value[:num_stages]
    kwargs["n_conv_per_stage_decoder"] = kwargs["n_conv_per_stage_decoder"][: num_stages - 1]
    kwargs["n_stages"] = num_stages
    kwargs["features_per_stage"] = [
        min(base_features * 2**stage, max_features) for stage in range(num_stages)
    ]
    configuration["patch_size"] = [
        max(total, side // total * total) for side, total in zip(wanted, totals, strict=True)
    ]
    configuration["batch_size"] = batch_size
    if settings:
        configuration["nnunetv2_pcrl"] = settings


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "plans", type=Path, help="e.g. nnUNet_preprocessed/DatasetX/nnUNetPlans.json"
    )
    parser.add_argument("--name", default="nnUNetPlansSmall", help="name of the new plans")
    parser.add_argument("--base_features", type=int, default=16)
    parser.add_argument("--max_features", type=int, default=128)
    parser.add_argument("--max_patch", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument(
        "--settings", type=json.loads, default=None, help='e.g. {"pcrlv2": {"batch_size": 8}}'
    )
    parser.add_argument(
        "--min_spacing", type=float, default=0, help="finest spacing of an axis, e.g. 4 (mm)"
    )
    args = parser.parse_args()
    small = shrink_plans(
        json.loads(args.plans.read_text(encoding="utf-8")),
        args.name,
        args.base_features,
        args.max_features,
        args.max_patch,
        args.batch_size,
        args.settings,
        args.min_spacing,
    )
    target = args.plans.with_name(f"{args.name}.json")
    target.write_text(json.dumps(small, indent=4))
    print(target)


if __name__ == "__main__":
    main()
