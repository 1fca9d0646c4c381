"""Plans files that are there already: of a target, or of an earlier preparation."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunetv2_pcrl.datasets.raw import environment_folder, read_json
from nnunetv2_pcrl.preparation.preparation_settings import PreparationSettings
from nnunetv2_pcrl.preparation.target_normalization import target_schemes
from nnunetv2_pcrl.weights.planned_for import PLANNED_FOR, planned_for

# What every plans file of nnU-Net has and is read here.
_KEYS = {
    "dataset_name": str,
    "plans_name": str,
    "configurations": dict,
    "experiment_planner_used": str,
    "transpose_forward": list,
    "foreground_intensity_properties_per_channel": dict,
}
_CONFIGURATION_KEYS = (
    "data_identifier",
    "patch_size",
    "spacing",
    "normalization_schemes",
    "use_mask_for_norm",
    "preprocessor_name",
)


def read_plans(path: Path) -> dict[str, Any]:
    """Content of a plans file.

    Raises:
        ValueError: if it is damaged, or holds something else.
    """
    plans = read_json(path)
    wrong = [key for key, kind in _KEYS.items() if not isinstance(plans.get(key), kind)]
    if not wrong and not all(isinstance(v, dict) for v in plans["configurations"].values()):
        wrong = ["configurations"]
    if wrong:
        raise ValueError(f"{path} holds no nnU-Net plans (see {', '.join(wrong)}); plan anew.")
    return plans


def read_target_plans(target: str, plans_name: str) -> dict[str, Any]:
    """Plans of a data set given by number or name, or of a file or folder given by path.

    Raises:
        ValueError: if there are none.
    """
    path = Path(target)
    if path.is_dir() and target != path.name:
        path /= f"{plans_name}.json"
    elif path.suffix != ".json":
        root = environment_folder("nnUNet_preprocessed")
        pattern = f"Dataset{int(target):03d}_*" if target.isdigit() else target
        path = next(
            root.glob(f"{pattern}/{plans_name}.json"), root / pattern / f"{plans_name}.json"
        )
    if not path.is_file():
        raise ValueError(
            f"There is no {path}. Plan the target data set first "
            f"(nnUNetv2_plan_and_preprocess -d {target}), or name its plans by --target_plans."
        )
    plans = read_plans(path)
    for name in plans["configurations"]:
        configuration_of(plans, name, path)
    return plans


def configuration_of(plans: Mapping[str, Any], name: str, path: Path) -> ConfigurationManager:
    """A configuration with what it inherits, as nnU-Net reads it.

    Args:
        plans: nnU-Net plans.
        name: of the configuration.
        path: of the plans, for the message.

    Raises:
        ValueError: if nnU-Net cannot read it, or it lacks what is asked of every configuration.
    """
    try:
        manager = PlansManager(deepcopy(dict(plans))).get_configuration(name)
        missing = [key for key in _CONFIGURATION_KEYS if key not in manager.configuration]
    except Exception as error:
        # What a person wrote there makes nnU-Net raise almost anything.
        raise ValueError(
            f"{path}: nnU-Net cannot read the configuration {name} ({error}); plan anew."
        ) from error
    if missing:
        raise ValueError(
            f"{path}: the configuration {name} has no {', '.join(missing)}; plan anew."
        )
    return manager


def check_plans_are_ours(plans_file: Path, settings: PreparationSettings) -> None:
    """Refuses to go on with plans that were made for something else."""
    if not plans_file.is_file():
        return
    plans = read_plans(plans_file)
    if PLANNED_FOR not in plans:
        raise ValueError(
            f"{plans_file} was made by nnU-Net from labels and stays as it is; give the new plans "
            f"another name by --plans_name."
        )
    own = {name: plans[name] for name in ("dataset_name", "plans_name")}
    wanted = planned_for(settings.target) if settings.target else own
    same_planner = settings.target or plans["experiment_planner_used"] == settings.planner
    if settings.clean:
        return
    if not (plans[PLANNED_FOR] == wanted and same_planner):
        raise ValueError(
            f"{plans_file} was planned for {plans[PLANNED_FOR]} by "
            f"{plans['experiment_planner_used']}; give the new plans another name by "
            f"--plans_name, or replace it by --clean."
        )
    if settings.target and settings.normalization == "target":
        _check_normalization(plans, settings.target, plans_file)
    targets = settings.target["configurations"] if settings.target else {}
    for name, values in plans["configurations"].items() if settings.target else ():
        target = targets.get(name, {})
        changed = [k for k in ("architecture", "spacing") if values.get(k) != target.get(k)]
        if changed:
            raise ValueError(
                f"{plans_file} and its target {wanted['dataset_name']} differ in the "
                f"{' and '.join(changed)} of {name}: the target was planned anew, or one of them "
                f"edited. Take over the target's by --clean."
            )


def _check_normalization(
    plans: Mapping[str, Any], target: Mapping[str, Any], plans_file: Path
) -> None:
    num_channels = len(plans["foreground_intensity_properties_per_channel"])
    for name, values in plans["configurations"].items():
        wanted = target["configurations"].get(name, {})
        if "normalization_schemes" not in wanted:
            continue
        schemes, _ = target_schemes(wanted, num_channels)
        if values.get("normalization_schemes") != schemes:
            raise ValueError(
                f"{plans_file} normalises by the images' own intensities; give new plans another "
                f"name by --plans_name, or replace it by --clean."
            )
