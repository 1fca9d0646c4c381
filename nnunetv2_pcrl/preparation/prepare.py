"""From a raw data set without labels to preprocessed cases and plans that nnUNetv2_train takes."""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

from nnunetv2_pcrl.datasets.folds import take_over_folds
from nnunetv2_pcrl.datasets.parallel import listed
from nnunetv2_pcrl.datasets.raw import environment_folder, read_json, write_json
from nnunetv2_pcrl.preparation.image_fingerprint import combine_measurements, measure_cases
from nnunetv2_pcrl.preparation.raw_cases import RawDataset, find_raw_folder, read_raw_dataset
from nnunetv2_pcrl.preparation.unlabelled_plans import default_plans_name, plan, plan_after
from nnunetv2_pcrl.preparation.unlabelled_preprocessing import preprocess_cases
from nnunetv2_pcrl.settings.plans_file import PRETRAINING, SECTIONS
from nnunetv2_pcrl.weights.planned_for import PLANNED_FOR, planned_for

MEASUREMENTS = "pcrlv2_fingerprint"
FINGERPRINT = "dataset_fingerprint.json"


@dataclass(frozen=True)
class PreparationSettings:
    """What a person can choose.

    Attributes:
        configurations: to preprocess; those that the plans lack are left out.
        planner: name of nnU-Net's planner.
        target: plans of the data set to fine-tune on; None plans for the images themselves.
        plans_name: of the new plans; None derives it.
        include_test_images: use the images of imagesTs too.
        num_processes: worker processes.
        clean: forget earlier measurements, plans and preprocessed cases of this name.
    """

    configurations: Sequence[str] = ("2d", "3d_fullres", "3d_lowres")
    planner: str = "ExperimentPlanner"
    target: Mapping[str, Any] | None = None
    plans_name: str | None = None
    include_test_images: bool = False
    num_processes: int = 1
    clean: bool = False


@dataclass(frozen=True)
class Preparation:
    """What was prepared.

    Attributes:
        dataset_name: e.g. Dataset007_ChestCT.
        plans_name: for -p of nnUNetv2_train.
        configurations: that were preprocessed.
        num_cases: cases of the raw data set.
        failed: reasons per case that is left out.
        nameless: reasons per image file that belongs to no case.
        needs_clean: labels came or may come later: nnU-Net's own planning must not reuse the
            fingerprint of the images.
    """

    dataset_name: str
    plans_name: str
    configurations: list[str]
    num_cases: int
    failed: dict[str, str]
    nameless: dict[str, str]
    needs_clean: bool


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
    plans = read_json(path)
    if "configurations" not in plans:
        raise ValueError(f"{path} holds no nnU-Net plans.")
    return plans


def prepare(dataset: int | str, settings: PreparationSettings) -> Preparation:
    """Measures, plans and preprocesses the images of a raw data set; labels are not used.

    A second call does what is missing: plans of this name are kept unless `settings.clean`.

    Raises:
        ValueError: if there are no usable images, or plans of this name are not ours.
    """
    raw_folder = find_raw_folder(dataset)
    raw = read_raw_dataset(raw_folder, settings.include_test_images)
    folder = environment_folder("nnUNet_preprocessed") / raw.name
    folder.mkdir(parents=True, exist_ok=True)
    plans_name = settings.plans_name or _plans_name(settings)
    plans_file = folder / f"{plans_name}.json"
    _check_plans_are_ours(plans_file, settings)
    if settings.clean:
        _forget(plans_file, folder / MEASUREMENTS)

    reader = _reader(raw)
    channels = list(raw.dataset_json["channel_names"].values())
    measurements = folder / MEASUREMENTS
    failed = measure_cases(raw.cases, channels, reader, measurements, settings.num_processes)
    usable = {name: images for name, images in raw.cases.items() if name not in failed}
    if not usable:
        raise ValueError(f"No image of {raw.name} can be used:{listed(failed)}")
    fingerprint = combine_measurements(list(usable), raw.num_channels, measurements)
    take_over_folds(raw_folder, folder, usable)
    needs_clean = _write_what_training_reads(folder, raw, fingerprint, settings.num_processes)
    if not plans_file.is_file():
        arguments = (raw.name, raw.dataset_json, fingerprint, reader, plans_name)
        if settings.target is None:
            plans = plan(settings.planner, *arguments)
        else:
            plans = plan_after(settings.target, *arguments)
        if len(usable) == 1:
            _allow_one_case(plans)
        write_json(plans_file, plans)
    planned = read_json(plans_file)["configurations"]
    configurations = [name for name in settings.configurations if name in planned]
    if not configurations:
        raise ValueError(
            f"{plans_file} has none of the configurations {', '.join(settings.configurations)}; "
            f"it has {', '.join(planned)}."
        )
    for name in configurations:
        failed |= preprocess_cases(usable, plans_file, name, measurements, settings.num_processes)
    return Preparation(
        raw.name, plans_name, configurations, len(raw.cases), failed, raw.nameless, needs_clean
    )


def _allow_one_case(plans: Mapping[str, Any]) -> None:
    """Lets a pretraining accept what was given to it on purpose; the report warns."""
    for values in plans["configurations"].values():
        if "inherits_from" not in values:
            sections = values.setdefault(SECTIONS, {})
            sections[PRETRAINING] = {**sections.get(PRETRAINING, {}), "min_cases": 1}


def _plans_name(settings: PreparationSettings) -> str:
    if settings.target is None:
        return default_plans_name(settings.planner)
    number = settings.target["dataset_name"].removeprefix("Dataset").split("_")[0]
    return f"{settings.target['plans_name']}_from_{number}"


def _check_plans_are_ours(plans_file: Path, settings: PreparationSettings) -> None:
    """Refuses to go on with plans that were made for something else."""
    if not plans_file.is_file():
        return
    plans = read_json(plans_file)
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
    for name, values in plans["configurations"].items() if settings.target else ():
        target = settings.target["configurations"].get(name, {})
        changed = [k for k in ("architecture", "spacing") if values.get(k) != target.get(k)]
        if changed:
            raise ValueError(
                f"{plans_file} and its target {wanted['dataset_name']} differ in the "
                f"{' and '.join(changed)} of {name}: the target was planned anew, or one of them "
                f"edited. Take over the target's by --clean."
            )


def _forget(plans_file: Path, measurements: Path) -> None:
    shutil.rmtree(measurements, ignore_errors=True)
    if plans_file.is_file():
        for values in read_json(plans_file)["configurations"].values():
            if "data_identifier" in values:
                shutil.rmtree(plans_file.parent / values["data_identifier"], ignore_errors=True)
        plans_file.unlink()


def _reader(raw: RawDataset) -> str:
    """nnU-Net's reader of the first image that can be read at all."""
    ending = raw.dataset_json["file_ending"]
    for images in raw.cases.values():
        try:
            with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(null):
                found = determine_reader_writer_from_dataset_json(raw.dataset_json, images[0])
            return found.__name__
        except RuntimeError:
            continue
    raise ValueError(
        f"nnU-Net has no reader for the {len(raw.cases)} images {ending} of {raw.name}, or all of "
        f"them are damaged, e.g. {next(iter(raw.cases.values()))[0]}"
    )


def _write_what_training_reads(
    folder: Path, raw: RawDataset, fingerprint: Mapping[str, Any], num_processes: int
) -> bool:
    """dataset.json and a fingerprint beside the plans; nnU-Net's own are never replaced.

    Returns:
        True if nnU-Net's own planning would take the fingerprint of the images for its own.
    """
    description = {key: value for key, value in raw.dataset_json.items() if key != "dataset"}
    path = folder / "dataset.json"
    known = read_json(path) if path.is_file() else {}
    if any(known.get(key) != description[key] for key in ("channel_names", "labels")):
        write_json(path, description)
    path = folder / FINGERPRINT
    ours = path.is_file() and "image_content" in read_json(path)
    if path.is_file() and not ours:
        return False
    is_labelled = raw.num_labelled == raw.num_training > 0
    if is_labelled and _extract_stock_fingerprint(raw, num_processes):
        return False
    write_json(path, {**fingerprint, "image_content": True})
    return True


def _extract_stock_fingerprint(raw: RawDataset, num_processes: int) -> bool:
    """Lets nnU-Net measure a fully labelled set, so that its own planning finds its own numbers."""
    try:
        DatasetFingerprintExtractor(raw.name, num_processes).run(overwrite_existing=True)
    except Exception:
        # A damaged image ends nnU-Net's extraction, with almost any error, but not ours.
        return False
    return True
