"""Turns a folder tree of images into a raw data set without labels, by reference or by link."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from nnunetv2_pcrl.datasets.folder_cases import (
    FolderPlan,
    FolderRequest,
    known_names,
    manifest_rows,
    plan_folder,
)
from nnunetv2_pcrl.datasets.folder_images import bring, remove_stale
from nnunetv2_pcrl.datasets.headers import reason_of
from nnunetv2_pcrl.datasets.parallel import listed
from nnunetv2_pcrl.datasets.raw import (
    DATASET_JSON,
    MANIFEST,
    NATURAL_READER,
    check_may_write,
    read_manifest,
    unlabelled_json,
    write_json,
    write_manifest,
)

MAKER = "nnUNetv2_pcrl_from_folder"


def plan_from_folder(request: FolderRequest, target: Path) -> FolderPlan:
    """What `build_from_folder` would make, without writing anything.

    Raises:
        ValueError: if there are no usable images, or if the target is somebody else's.
    """
    check_may_write(target, MAKER)
    _check_is_ours(target)
    plan = plan_folder(request, target, known_names(read_manifest(target)))
    if not plan.cases:
        reasons = {**plan.survey.failed, **plan.survey.left_out}
        raise ValueError(f"There are no usable images in {request.images}.{listed(reasons)}")
    return plan


def build_from_folder(request: FolderRequest, target: Path) -> FolderPlan:
    """Writes dataset.json and manifest.csv for all images below a folder.

    DICOM series, images that are turned or resampled, and photographs whose colours are changed
    are written; other files stay where they are. A run that is stopped has named in the manifest
    what it was going to write, and goes on when it is started again.

    Args:
        request: the folder, and what is to be made of it.
        target: folder of the raw data set.

    Returns:
        What was made, without the cases that could not be.

    Raises:
        ValueError: if there are no usable images, or if the target is somebody else's.
    """
    plan = plan_from_folder(request, target)
    planned = {case.identifier for case in plan.cases}
    earlier = [row for row in read_manifest(target) if row.identifier]
    target.mkdir(parents=True, exist_ok=True)
    # Until the end the manifest names what lies there, too, from an earlier run.
    leftover = [row for row in earlier if row.identifier not in planned]
    write_manifest(target, [*manifest_rows(plan, {}), *leftover])
    paths: dict[str, list[str]] = {}
    remarks: dict[str, str] = {}
    for case in tqdm(plan.cases, desc="Images", disable=None):
        try:
            paths[case.identifier] = bring(case, target, request, remarks)
        except (ValueError, RuntimeError, PermissionError, FileNotFoundError) as error:
            reason = reason_of(error)
            plan.survey.failed.update({source.name: reason for source in case.sources})
    made = FolderPlan([c for c in plan.cases if c.identifier in paths], plan.reader, plan.survey)
    if not made.cases:
        raise ValueError(f"No image of {request.images} could be used.{listed(made.survey.failed)}")
    remove_stale(target, planned | {row.identifier for row in earlier}, paths)
    ending = ".png" if made.reader == NATURAL_READER else ".nii.gz"
    content = unlabelled_json(request.channels, ending, made.reader, paths, MAKER)
    write_manifest(target, manifest_rows(made, remarks))
    write_json(target / DATASET_JSON, content)
    made.survey.remarks.extend(_summary_of(remarks))
    return made


def _check_is_ours(target: Path) -> None:
    """Refuses a folder that holds images and was not begun by this command.

    Raises:
        ValueError: naming it.
    """
    images = target / "imagesTr"
    is_begun = (target / MANIFEST).is_file() or (target / DATASET_JSON).is_file()
    if images.is_dir() and any(images.iterdir()) and not is_begun:
        raise ValueError(
            f"{images} holds images that this command did not make; choose another number or name, "
            f"or remove it."
        )


def _summary_of(remarks: Mapping[str, str]) -> list[str]:
    """What was done to images, with counts; the manifest names them."""
    counts = Counter(re.sub(r"[\d.]+ degrees", "some degrees", text) for text in remarks.values())
    return [f"{count} images: {what} (see {MANIFEST})." for what, count in counts.items()]
