"""Cases of a raw data set whose labels may be missing. Nothing here opens a label."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

from nnunetv2_pcrl.datasets.case_names import check_case_name
from nnunetv2_pcrl.datasets.image_files import ITK_ENDINGS, NATURAL_ENDINGS
from nnunetv2_pcrl.datasets.raw import DATASET_JSON, UNLABELLED, environment_folder, read_json
from nnunetv2_pcrl.preparation.label_section import check_labels
from nnunetv2_pcrl.weights.plain_names import plain_name


@dataclass(frozen=True)
class RawDataset:
    """A raw data set as far as pretraining needs it.

    Attributes:
        name: e.g. Dataset007_ChestCT.
        dataset_json: content of dataset.json, completed by what nnU-Net demands.
        cases: image files per identifier, one per channel file.
        num_labelled: training cases that have a label file.
        num_training: training cases.
        nameless: why image files of imagesTr and imagesTs belong to no case.
    """

    name: str
    dataset_json: dict[str, Any]
    cases: dict[str, list[str]]
    num_labelled: int
    num_training: int
    nameless: dict[str, str]

    @property
    def misnamed(self) -> dict[str, str]:
        """Why cases cannot be prepared under their names, by these names."""
        reasons = {}
        for identifier in self.cases:
            try:
                check_case_name(identifier)
            except ValueError as error:
                reasons[identifier] = str(error)
        return reasons

    @property
    def num_channels(self) -> int:
        """Channels that dataset.json names."""
        return len(self.dataset_json["channel_names"])


def find_raw_folder(dataset: int | str) -> Path:
    """Folder of a raw data set, given by number or name.

    Raises:
        ValueError: if there is none.
    """
    return find_dataset_folder("nnUNet_raw", dataset)


def find_dataset_folder(variable: str, dataset: int | str) -> Path:
    """Folder of a data set in one of nnU-Net's folders, e.g. nnUNet_preprocessed.

    Raises:
        ValueError: if there is none.
    """
    root = environment_folder(variable)
    if str(dataset).isdigit():
        found = sorted(p for p in root.glob(f"Dataset{int(dataset):03d}_*") if p.is_dir())
        if len(found) != 1:
            names = ", ".join(p.name for p in found) or "none"
            raise ValueError(f"Data set {dataset} must be one folder of {root}, found {names}.")
        return found[0]
    plain_name(str(dataset), "data set")
    folder = root / maybe_convert_to_dataset_name(str(dataset))
    if not folder.is_dir():
        raise ValueError(f"There is no data set {dataset} in {root}.")
    return folder


def read_raw_dataset(folder: Path, include_test_images: bool = False) -> RawDataset:
    """Lists the cases of a raw data set, with or without labels.

    Args:
        folder: holds dataset.json and either imagesTr or the `dataset` key's files.
        include_test_images: take the images of imagesTs as well.

    Raises:
        ValueError: if dataset.json is missing or incomplete, or if there are no images.

    Source: names as in nnU-Net, which passes over all others without a word.
    """
    path = folder / DATASET_JSON
    if not path.is_file():
        raise ValueError(
            f"There is no {path}. Make the data set with nnUNetv2_pcrl_from_folder, or write the "
            f'file: {{"channel_names": {{"0": "CT"}}, "file_ending": ".nii.gz"}}'
        )
    content = read_json(path)
    names = content.get("channel_names", content.get("modality"))
    _check_names_and_ending(names, content.get("file_ending"), path)
    reader = content.get("overwrite_image_reader_writer", "None")
    if not isinstance(reader, str):
        raise ValueError(
            f'"overwrite_image_reader_writer" in {path} must be the name of a reader, e.g. '
            f'"SimpleITKIO", got {reader!r}.'
        )
    training = _training_cases(folder, content)
    searched = [] if "dataset" in content else [folder / "imagesTr"]
    cases = {identifier: images for identifier, (images, _) in training.items()}
    if include_test_images:
        searched.append(folder / "imagesTs")
        tests = _cases_of_folder(folder / "imagesTs", content["file_ending"])
        for identifier, images in tests.items():
            cases[f"{identifier}_imagesTs" if identifier in cases else identifier] = images
    if not cases:
        raise ValueError(f"There are no images *_0000{content['file_ending']} in {folder}.")
    labelled = sum(label is not None and label.is_file() for _, label in training.values())
    completed = {"labels": UNLABELLED, "numTraining": len(cases), **content, "channel_names": names}
    check_labels(completed, path)
    nameless = _nameless_images(searched, content["file_ending"])
    return RawDataset(folder.name, completed, cases, labelled, len(training), nameless)


def _check_names_and_ending(names: Any, ending: Any, path: Path) -> None:
    is_sound = (
        isinstance(names, dict)
        and names
        and all(isinstance(name, str) for name in names.values())
        and set(names) == {str(number) for number in range(len(names))}
        and isinstance(ending, str)
        and ending.startswith(".")
    )
    if not is_sound:
        raise ValueError(
            f'{path} needs "channel_names", e.g. {{"0": "CT"}}, and "file_ending", e.g. ".nii.gz", '
            f"got {names!r} and {ending!r}."
        )


def _training_cases(
    folder: Path, content: Mapping[str, Any]
) -> dict[str, tuple[list[str], Path | None]]:
    """Image files and label path per identifier."""
    if "dataset" not in content:
        ending = content["file_ending"]
        return {
            identifier: (images, folder / "labelsTr" / f"{identifier}{ending}")
            for identifier, images in _cases_of_folder(folder / "imagesTr", ending).items()
        }
    path, listed = folder / DATASET_JSON, content["dataset"]
    if not isinstance(listed, dict):
        raise ValueError(
            f'"dataset" in {path} must name cases, e.g. {{"a": {{"images": ["a.nii.gz"]}}}}, got a '
            f"{type(listed).__name__}."
        )
    cases = {}
    for identifier, entry in listed.items():
        images = entry.get("images") if isinstance(entry, dict) else None
        if not images or not isinstance(images, list) or not _are_texts(images):
            raise ValueError(
                f'Case {identifier} in {path} names no "images", e.g. {{"images": ["a.nii.gz"]}}.'
            )
        label = entry.get("label")
        cases[identifier] = (
            [str(_resolve(folder, image)) for image in images],
            _resolve(folder, label) if label and isinstance(label, str) else None,
        )
    return cases


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _resolve(folder: Path, path: str) -> Path:
    """A path of the `dataset` key, by nnU-Net's rule: variables, then relative to the folder."""
    return Path(os.path.abspath(folder / os.path.expandvars(path)))


def _cases_of_folder(folder: Path, ending: str) -> dict[str, list[str]]:
    """Files IDENTIFIER_XXXX.ending grouped by identifier, in the order of the channels."""
    pattern = _case_pattern(ending)
    cases: dict[str, list[str]] = {}
    for name in _visible_files(folder):
        match = pattern.fullmatch(name)
        if match:
            cases.setdefault(match.group(1), []).append(str(folder / name))
    return cases


def _nameless_images(folders: Sequence[Path], ending: str) -> dict[str, str]:
    pattern = _case_pattern(ending)
    return {
        str(folder / name): f"its name is not of the form CASE_0000{ending}"
        for folder in folders
        for name in _visible_files(folder)
        if name.lower().endswith(ITK_ENDINGS + NATURAL_ENDINGS) and not pattern.fullmatch(name)
    }


def _case_pattern(ending: str) -> re.Pattern:
    return re.compile(rf"(.+)_\d{{4}}{re.escape(ending)}")


def _visible_files(folder: Path) -> list[str]:
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return [name for name in names if not name.startswith(".")]
