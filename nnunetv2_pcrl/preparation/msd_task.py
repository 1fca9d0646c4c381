"""A task of the Medical Segmentation Decathlon as it is published: its folder and description."""

import tarfile
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.datasets.archives import unpacked
from nnunetv2_pcrl.datasets.raw import DATASET_JSON, read_json

ENDING = ".nii.gz"
PARTS = ("imagesTr", "imagesTs", "labelsTr")


def task_folder(source: Path) -> Path:
    """The task's folder; an archive is unpacked beside itself.

    Raises:
        ValueError: if it is neither.
    """
    if not source.exists():
        raise ValueError(f"There is no {source}: name the folder or the archive of a task.")
    if source.is_file():
        if not tarfile.is_tarfile(source):
            raise ValueError(
                f"{source} is no tar archive, or its beginning is damaged: unpack it and name the "
                f"folder of the task, or download it again."
            )
        source = unpacked(source)
    if not (source / DATASET_JSON).is_file():
        raise ValueError(f"{source} is no unpacked task: it has no {DATASET_JSON}.")
    return source.resolve()


def read_published(source: Path) -> dict[str, Any]:
    """The task's own description.

    Raises:
        ValueError: if it lacks what the conversion needs.
    """
    path = source / DATASET_JSON
    content = read_json(path)
    kinds = {"name": str, "labels": dict, "modality": dict, "numTraining": int, "numTest": int}
    wrong = [key for key, kind in kinds.items() if not isinstance(content.get(key), kind)]
    wrong += [key for key in ("training", "test") if not isinstance(content.get(key), list)]
    if not wrong and not all(str(value).isdigit() for value in content["labels"]):
        wrong = ["labels"]
    if wrong:
        raise ValueError(
            f"{path} is not as published: see {', '.join(wrong)}. Download the task again."
        )
    missing = [part for part in PARTS if not (source / part).is_dir()]
    if missing:
        raise ValueError(f"{source} has no folder {', '.join(missing)}: download the task again.")
    return content


def images_of(folder: Path) -> list[Path]:
    """Images and labels of a folder, without the hidden files that the archives hold."""
    return sorted(p for p in folder.glob(f"*{ENDING}") if not p.name.startswith((".", "_")))
