"""Preprocessing of images without labels, by nnU-Net's preprocessor, case by case.

A case is complete or absent: its files are written beside the data folder and moved there.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunetv2_pcrl.datasets.parallel import run_cases
from nnunetv2_pcrl.datasets.raw import read_json, write_json
from nnunetv2_pcrl.preparation.data_folders import data_folder, make_folder
from nnunetv2_pcrl.preparation.existing_plans import configuration_of
from nnunetv2_pcrl.preparation.image_fingerprint import read_geometry
from nnunetv2_pcrl.preparation.usable_images import check_size

# What of a configuration decides how its cases come out.
_SHAPING_CASES = (
    "spacing",
    "normalization_schemes",
    "use_mask_for_norm",
    "preprocessor_name",
    "resampling_fn_data",
    "resampling_fn_data_kwargs",
)
# The last one marks a case as complete.
ENDINGS = (".b2nd", "_seg.b2nd", ".pkl")


def preprocess_cases(
    cases: Mapping[str, Sequence[str]],
    plans_file: Path,
    configuration: str,
    measurements: Path,
    num_processes: int,
) -> dict[str, str]:
    """Preprocesses the cases that are missing, older than their measurement, or of other plans.

    Cases of the data folder that are no longer in the data set are removed.

    Args:
        cases: image files per identifier.
        plans_file: nnU-Net plans in the preprocessed folder of the data set.
        configuration: of the plans.
        measurements: folder with a file CASE.npz per case.
        num_processes: worker processes.

    Returns:
        Reasons of the cases that failed.

    Raises:
        ValueError: if the data folder holds what this command did not make.
    """
    plans = PlansManager(str(plans_file))
    manager = configuration_of(plans.plans, configuration, plans_file)
    folder = data_folder(plans_file, manager.configuration)
    make_folder(folder, plans_file)
    _remove_all_but(folder, set(cases))
    _forget_cases_of_other_plans(folder, plans, manager, measurements)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    jobs, odd = {}, {}
    for identifier, images in cases.items():
        measurement = measurements / f"{identifier}.npz"
        if _is_done(folder, identifier, measurement):
            continue
        try:
            check_size(*read_geometry(measurement), plans, manager)
        except ValueError as error:
            odd[identifier] = str(error)
            continue
        jobs[identifier] = (folder, partial, identifier, list(images), plans_file, configuration)
    try:
        description = f"Preprocessing for {configuration}"
        failed, _ = run_cases(preprocess_case, jobs, num_processes, description)
        return odd | failed
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def preprocess_case(
    folder: Path,
    partial: Path,
    identifier: str,
    images: Sequence[str],
    plans_file: Path,
    configuration: str,
) -> None:
    """Writes an ordinary preprocessed case, whose segmentation is only inside or outside.

    Args:
        folder: where the case's files end up.
        partial: where they are written; on the same file system.
        identifier: name of the case.
        images: its files.
        plans_file, configuration: nnU-Net plans.
    """
    plans = _read_plans(plans_file, plans_file.stat().st_mtime_ns)
    manager = plans.get_configuration(configuration)
    preprocessor = manager.preprocessor_class(verbose=False)
    # The preprocessor asks dataset.json about labels only.
    preprocessor.run_case_save(
        str(partial / identifier), list(images), None, plans, manager, dataset_json={}
    )
    (folder / f"{identifier}{ENDINGS[-1]}").unlink(missing_ok=True)
    for ending in ENDINGS:
        os.replace(partial / f"{identifier}{ending}", folder / f"{identifier}{ending}")


@lru_cache(maxsize=1)
def _read_plans(plans_file: Path, modified: int) -> PlansManager:
    """Once per process and version of the file."""
    return PlansManager(str(plans_file))


def _is_done(folder: Path, identifier: str, measurement: Path) -> bool:
    files = [folder / f"{identifier}{ending}" for ending in ENDINGS]
    if not all(file.is_file() for file in files):
        return False
    return files[-1].stat().st_mtime_ns >= measurement.stat().st_mtime_ns


def _forget_cases_of_other_plans(
    folder: Path, plans: PlansManager, manager: ConfigurationManager, measurements: Path
) -> None:
    """Makes all cases incomplete if the plans they were made by say something else now."""
    current = {key: manager.configuration.get(key) for key in _SHAPING_CASES}
    for key in ("transpose_forward", "foreground_intensity_properties_per_channel"):
        current[key] = plans.plans[key]
    record = measurements / f"{manager.data_identifier}.json"
    if record.is_file() and read_json(record) != current:
        for file in folder.glob(f"*{ENDINGS[-1]}"):
            file.unlink()
    write_json(record, current)


def _remove_all_but(folder: Path, identifiers: set[str]) -> None:
    for file in folder.iterdir():
        for ending in ENDINGS[::-1]:
            if file.name.endswith(ending):
                if file.name.removesuffix(ending) not in identifiers:
                    file.unlink()
                break
