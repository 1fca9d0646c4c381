"""Folders of preprocessed cases: which are ours to write and to empty, and which are not."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.weights.plain_names import plain_name

# A folder, because nnU-Net wants files of one kind only beside the cases.
MARK = ".made_by_nnunetv2_pcrl"
_TEXT = (
    "nnUNetv2_pcrl_plan_and_preprocess made this folder from images without their labels. It "
    "replaces cases here and removes those that are no longer in the data set.\n"
)


def data_folder(plans_file: Path, values: Mapping[str, Any]) -> Path:
    """Folder of the preprocessed cases of a configuration.

    Args:
        plans_file: in the preprocessed folder of the data set.
        values: of the configuration, with "data_identifier".

    Raises:
        ValueError: if its name would lead out of the data set's folder.
    """
    name = plain_name(values.get("data_identifier"), f'"data_identifier" in {plans_file}:')
    return plans_file.parent / name


def check_is_ours(folder: Path, plans_file: Path) -> None:
    """Refuses a folder that holds anything and was not made by this command.

    Raises:
        ValueError: naming it.
    """
    if not folder.exists() or (folder / MARK).is_dir():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise ValueError(
            f'{folder}, the "data_identifier" in {plans_file}, holds what this command did not '
            f"make, perhaps cases with labels; it stays as it is. Give the plans a "
            f'"data_identifier" of their own, or another name by --plans_name.'
        )


def make_folder(folder: Path, plans_file: Path) -> None:
    """Makes a folder of preprocessed cases, or goes on with one that is ours.

    Raises:
        ValueError: if it is not ours.
    """
    check_is_ours(folder, plans_file)
    (folder / MARK).mkdir(parents=True, exist_ok=True)
    (folder / MARK / "about.txt").write_text(_TEXT, encoding="utf-8")


def remove_folder(folder: Path) -> None:
    """Removes a folder if it is ours; another one stays."""
    if (folder / MARK).is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
