"""From a raw data set without labels to preprocessed cases and plans that nnUNetv2_train takes."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)

from nnunetv2_pcrl.datasets.folds import take_over_folds
from nnunetv2_pcrl.datasets.parallel import listed
from nnunetv2_pcrl.datasets.raw import environment_folder, read_json, write_json
from nnunetv2_pcrl.preparation.data_folders import check_is_ours, data_folder, remove_folder
from nnunetv2_pcrl.preparation.existing_plans import check_plans_are_ours, read_plans
from nnunetv2_pcrl.preparation.image_fingerprint import combine_measurements, measure_cases
from nnunetv2_pcrl.preparation.preparation_settings import PreparationSettings
from nnunetv2_pcrl.preparation.raw_cases import RawDataset, find_raw_folder, read_raw_dataset
from nnunetv2_pcrl.preparation.reader import find_reader
from nnunetv2_pcrl.preparation.unlabelled_plans import default_plans_name, num_2d, plan, plan_after
from nnunetv2_pcrl.preparation.unlabelled_preprocessing import preprocess_cases
from nnunetv2_pcrl.settings.plans_file import PRETRAINING, SECTIONS
from nnunetv2_pcrl.weights.plain_names import plain_name

MEASUREMENTS = "pcrlv2_fingerprint"
FINGERPRINT = "dataset_fingerprint.json"


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
    plans_name = plain_name(settings.plans_name or _plans_name(settings), "plans name")
    plans_file = folder / f"{plans_name}.json"
    check_plans_are_ours(plans_file, settings)
    if settings.clean:
        _forget(plans_file, folder / MEASUREMENTS)
    elif plans_file.is_file():
        _check_data_folders(plans_file, settings.configurations)

    misnamed = raw.misnamed
    cases = {name: images for name, images in raw.cases.items() if name not in misnamed}
    reader = find_reader(raw.dataset_json, cases) if cases else ""
    channels = list(raw.dataset_json["channel_names"].values())
    measurements = folder / MEASUREMENTS
    failed = misnamed | measure_cases(cases, channels, reader, measurements, settings.num_processes)
    usable = {name: images for name, images in cases.items() if name not in failed}
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
            plans = plan_after(settings.target, *arguments, settings.normalization)
        if len(usable) == 1:
            _allow_one_case(plans)
        write_json(plans_file, plans)
    planned = read_json(plans_file)["configurations"]
    configurations = [name for name in settings.configurations if name in planned]
    if not configurations:
        flat = num_2d(fingerprint)
        reason = f": {flat} of {len(usable)} images are 2D" if flat else ""
        raise ValueError(
            f"{plans_file} has none of the configurations {', '.join(settings.configurations)}; "
            f"it has {', '.join(planned)}{reason}."
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


def _forget(plans_file: Path, measurements: Path) -> None:
    shutil.rmtree(measurements, ignore_errors=True)
    if plans_file.is_file():
        for values in read_plans(plans_file)["configurations"].values():
            # A name that leads elsewhere is forgotten with the plans, and what is there stays.
            with suppress(ValueError):
                remove_folder(data_folder(plans_file, values))
        plans_file.unlink()


def _check_data_folders(plans_file: Path, configurations: Sequence[str]) -> None:
    """Asks before anything is measured what is asked again when cases are written."""
    planned = read_plans(plans_file)["configurations"]
    for name in configurations:
        values = planned.get(name, {})
        if "data_identifier" in values:
            check_is_ours(data_folder(plans_file, values), plans_file)


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
    keys = ("channel_names", "labels", "regions_class_order")
    if any(known.get(key) != description.get(key) for key in keys):
        write_json(path, description)
    path = folder / FINGERPRINT
    ours = path.is_file() and "image_content" in read_json(path)
    if path.is_file() and not ours:
        return False
    is_labelled = raw.num_labelled == raw.num_training > 0 and not raw.misnamed
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
