"""Tasks of the Medical Segmentation Decathlon become raw data sets, by nnU-Net's own converter."""

import filecmp
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2.dataset_conversion.convert_MSD_dataset import convert_msd_dataset

from nnunetv2_pcrl.datasets.intact import check_is_intact
from nnunetv2_pcrl.datasets.parallel import listed, run_cases
from nnunetv2_pcrl.datasets.raw import (
    DATASET_JSON,
    MADE_BY,
    check_may_write,
    environment_folder,
    raw_folder,
    read_json,
    write_json,
)
from nnunetv2_pcrl.preparation.msd_task import ENDING, PARTS, images_of
from nnunetv2_pcrl.settings.environment import environment_with

MAKER = "nnUNetv2_pcrl_convert_msd"
_TASK = re.compile(r"Task(\d+)_([A-Za-z0-9]+)")


def convert_task(
    source: Path, published: Mapping[str, Any], number: int | None, num_processes: int
) -> Path:
    """Runs nnU-Net's converter in a place of its own, so that a kill leaves nothing half done.

    Args:
        source: the task's folder.
        published: the task's own description.
        number: of the new data set; None: that of the task.
        num_processes: worker processes.

    Returns:
        The raw data set; one that is there already is left as it is.

    Raises:
        ValueError: if the number is taken, or the folder is not as published.
    """
    root = environment_folder("nnUNet_raw")
    match = _TASK.fullmatch(source.name)
    if match is None:
        raise ValueError(
            f"{source.name} is not of the form TaskNN_Name, as nnU-Net wants it, e.g. "
            f"Task09_{published['name']}: rename the folder."
        )
    number = int(match.group(1)) if number is None else number
    target = raw_folder(root, number, match.group(2))
    if target.is_dir():
        names = {name: int(value) for value, name in published["labels"].items()}
        check_may_write(target, MAKER, names)
        return target
    files = {str(path): (path,) for part in PARTS for path in images_of(source / part)}
    damaged, _ = run_cases(check_is_intact, files, num_processes, "Files")
    if damaged:
        raise ValueError(
            f"nnU-Net converts whole tasks only; repair or download again:{listed(damaged)}"
        )
    partial = root / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with environment_with({"nnUNet_raw": str(partial)}):
            convert_msd_dataset(str(source), number, num_processes)
        converted = partial / target.name / DATASET_JSON
        write_json(converted, {MADE_BY: MAKER, **read_json(converted)})
        (partial / target.name).replace(target)
    except (AssertionError, RuntimeError, KeyError) as error:
        raise ValueError(f"nnU-Net cannot convert {source}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def link_equal_files(source: Path, folder: Path) -> None:
    """Replaces what nnU-Net's converter copied unchanged by links.

    Args:
        source: the task's folder.
        folder: the raw data set.
    """
    for part in PARTS:
        for file in sorted((folder / part).glob(f"*{ENDING}")):
            name = file.name if part == "labelsTr" else file.name.replace(f"_0000{ENDING}", ENDING)
            original = source / part / name
            if not original.is_file() or file.is_symlink():
                continue
            if filecmp.cmp(original, file, shallow=False):
                file.unlink()
                file.symlink_to(original)
