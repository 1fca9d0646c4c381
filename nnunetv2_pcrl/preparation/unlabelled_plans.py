"""Plans for images without labels: by any nnU-Net planner, or after the plans of a target data set.

nnU-Net's planner runs on a scratch copy of what it reads (dataset.json and fingerprint), so that it
needs no label and leaves the data set's own fingerprint and plans as they are.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nnunetv2
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (
    ExperimentPlanner,
)
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

from nnunetv2_pcrl.preparation.target_normalization import target_intensities, target_schemes
from nnunetv2_pcrl.settings.environment import WORKERS_VARIABLE, environment_with
from nnunetv2_pcrl.weights.planned_for import PLANNED_FOR, planned_for

# Of a volume's distance between slices to its pixels.
_LARGEST_RATIO = 900


def find_planner(name: str) -> type[ExperimentPlanner]:
    """nnU-Net's planner of that name, e.g. ExperimentPlanner or nnUNetPlannerResEncM.

    Raises:
        ValueError: if nnU-Net has none.
    """
    planner = recursive_find_python_class(
        os.path.join(nnunetv2.__path__[0], "experiment_planning"),
        name,
        current_module="nnunetv2.experiment_planning",
    )
    if planner is None:
        raise ValueError(
            f"nnU-Net has no planner {name!r}; it has ExperimentPlanner, nnUNetPlannerResEncM, "
            f"nnUNetPlannerResEncL, nnUNetPlannerResEncXL and others."
        )
    return planner


def default_plans_name(planner_name: str) -> str:
    """Name of the planner's plans for unlabelled images, other than that of labelled ones."""
    with _scratch("Dataset000_Name", {"channel_names": {}, "dataset": {}}, {}):
        return find_planner(planner_name)("Dataset000_Name").plans_identifier + "_unlabelled"


def plan(
    planner_name: str,
    dataset_name: str,
    dataset_json: Mapping[str, Any],
    fingerprint: Mapping[str, Any],
    reader: str,
    plans_name: str,
    num_training: int | None = None,
) -> dict[str, Any]:
    """Plans by an nnU-Net planner.

    Args:
        planner_name: of nnU-Net.
        dataset_name: e.g. Dataset007_ChestCT.
        dataset_json: with channel_names, labels and file_ending.
        fingerprint: as in nnU-Net's dataset_fingerprint.json.
        reader: name of nnU-Net's class that reads the images.
        plans_name: of the new plans; begins the names of their data folders.
        num_training: number of images; None counts those of the fingerprint.

    Returns:
        Plain Python, without the cascade, which needs segmentations, and in 2D alone where some
        images are 2D: in 3D they would become stacks of copies.
    """
    planner_class = find_planner(planner_name)
    asked = _for_planner(dataset_json, fingerprint, reader)
    if num_training is not None:
        asked["numTraining"] = num_training
    with _scratch(dataset_name, asked, fingerprint):
        planner = planner_class(dataset_name, plans_name=plans_name)
        with redirect_stdout(io.StringIO()):
            plans = planner.plan_experiment()
    recursive_fix_for_json_export(plans)
    plans = _without_cascade(json.loads(json.dumps(plans)))
    if num_2d(fingerprint):
        _keep_2d(plans)
    _name_data_folders(plans, plans_name)
    return {**plans, PLANNED_FOR: {"dataset_name": dataset_name, "plans_name": plans_name}}


def plan_after(
    target: Mapping[str, Any],
    dataset_name: str,
    dataset_json: Mapping[str, Any],
    fingerprint: Mapping[str, Any],
    reader: str,
    plans_name: str,
    normalization: str = "own",
) -> dict[str, Any]:
    """Plans with the target's architecture, patch and spacing.

    The number of channels may differ from the target's.

    Args:
        target: nnU-Net plans of the data set that will be fine-tuned.
        dataset_name, dataset_json, fingerprint, reader, plans_name: as for `plan`.
        normalization: "own" for that of the images, "target" for that of the target, with its
            intensities where they count.

    Raises:
        ValueError: if the target has no configuration that these images can be brought to, or
            normalises its channels in ways that do not fit theirs.
    """
    num_channels = len(dataset_json["channel_names"])
    properties = fingerprint["foreground_intensity_properties_per_channel"]
    if normalization == "target":
        properties = target_intensities(target, num_channels, properties)
    with _scratch(dataset_name, _for_planner(dataset_json, fingerprint, reader), fingerprint):
        planner = ExperimentPlanner(dataset_name)
        own = planner.determine_normalization_scheme_and_whether_mask_is_used_for_norm()
    plans = _without_cascade(deepcopy(dict(target)))
    shapes = fingerprint["shapes_after_crop"]
    if num_2d(fingerprint) or all(shape[0] == 1 for shape in shapes):
        _keep_2d(plans)
        if not plans["configurations"]:
            raise ValueError(
                f"Images of {dataset_name} are 2D, and the plans of {target['dataset_name']} have "
                f"no 2D configuration."
            )
    for values in plans["configurations"].values():
        # A configuration that inherits holds its differences only.
        if "normalization_schemes" in values or "inherits_from" not in values:
            if normalization == "own":
                schemes, use_mask = own
            else:
                schemes, use_mask = target_schemes(values, num_channels)
            values["normalization_schemes"] = schemes
            values["use_mask_for_norm"] = use_mask
    _name_data_folders(plans, plans_name)
    order = plans["transpose_forward"]
    plans |= {
        "dataset_name": dataset_name,
        "plans_name": plans_name,
        "image_reader_writer": reader,
        "original_median_spacing_after_transp": _median(fingerprint["spacings"], order),
        "original_median_shape_after_transp": [round(v) for v in _median(shapes, order)],
        "foreground_intensity_properties_per_channel": properties,
        PLANNED_FOR: planned_for(target),
    }
    return json.loads(json.dumps(plans))


def num_2d(fingerprint: Mapping[str, Any]) -> int:
    """Images that nnU-Net's readers call 2D: their one slice is 999 pixels from the next."""
    geometries = zip(fingerprint["shapes_after_crop"], fingerprint["spacings"], strict=True)
    return sum(
        shape[0] == 1 and spacing[0] > _LARGEST_RATIO * max(spacing[1:])
        for shape, spacing in geometries
    )


def _keep_2d(plans: dict[str, Any]) -> None:
    configurations = plans["configurations"]
    plans["configurations"] = {
        name: values
        for name, values in configurations.items()
        if _num_axes(configurations, name) == 2
    }


def _num_axes(configurations: Mapping[str, Any], name: str) -> int:
    while "patch_size" not in configurations[name]:
        name = configurations[name]["inherits_from"]
    return len(configurations[name]["patch_size"])


def _median(rows: list, order: list[int]) -> list[float]:
    columns = list(zip(*rows, strict=True))
    middle = [sorted(column) for column in columns]
    half = [(c[(len(c) - 1) // 2] + c[len(c) // 2]) / 2 for c in middle]
    return [float(half[axis]) for axis in order]


def _without_cascade(plans: dict[str, Any]) -> dict[str, Any]:
    plans["configurations"] = {
        name: {key: value for key, value in values.items() if key != "next_stage"}
        for name, values in plans["configurations"].items()
        if "previous_stage" not in values
    }
    return plans


def _name_data_folders(plans: dict[str, Any], plans_name: str) -> None:
    """Data folders of their own: some planners share those of others, which hold labelled cases."""
    for name, values in plans["configurations"].items():
        if "data_identifier" in values or "inherits_from" not in values:
            values["data_identifier"] = f"{plans_name}_{name}"


def _for_planner(
    dataset_json: Mapping[str, Any], fingerprint: Mapping[str, Any], reader: str
) -> dict[str, Any]:
    """A dataset.json from which a planner gets all that it asks, without opening an image."""
    return {
        **dataset_json,
        "numTraining": len(fingerprint["shapes_after_crop"]),
        "overwrite_image_reader_writer": reader,
        "dataset": {"case": {"images": ["case"], "label": "case"}},
    }


@contextmanager
def _scratch(
    dataset_name: str, dataset_json: Mapping[str, Any], fingerprint: Mapping[str, Any]
) -> Iterator[None]:
    """nnU-Net's folders point to a temporary place that holds these two files only."""
    with TemporaryDirectory() as root:
        folders = {name: Path(root) / name for name in ("nnUNet_raw", "nnUNet_preprocessed")}
        for folder in folders.values():
            (folder / dataset_name).mkdir(parents=True)
        raw, preprocessed = (folder / dataset_name for folder in folders.values())
        (raw / "dataset.json").write_text(json.dumps(dataset_json))
        (preprocessed / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
        # nnU-Net's planner counts with as many threads as it allows workers, which may be none.
        threads = max(1, get_allowed_n_proc_DA())
        variables = {**folders, WORKERS_VARIABLE: threads}
        with environment_with({name: str(value) for name, value in variables.items()}):
            yield
