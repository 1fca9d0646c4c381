"""Pools raw data sets into one for pretraining, by reference."""

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import SimpleITK
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import (
    get_normalization_scheme,
)
from tqdm import tqdm

from nnunetv2_pcrl.datasets.case_names import MAX_LENGTH, case_name, check_case_name
from nnunetv2_pcrl.datasets.headers import Header, read_header
from nnunetv2_pcrl.datasets.image_files import is_photograph
from nnunetv2_pcrl.datasets.orientation import mixture, orientation_of, oriented
from nnunetv2_pcrl.datasets.photographs import (
    as_volume,
    read_photograph,
    read_photograph_header,
    with_colours,
)
from nnunetv2_pcrl.datasets.placing import state_of, write_once
from nnunetv2_pcrl.datasets.raw import (
    DATASET_JSON,
    NATURAL_READER,
    REORIENTING_READER,
    ManifestRow,
    check_may_write,
    unlabelled_json,
    write_json,
    write_manifest,
)
from nnunetv2_pcrl.preparation.raw_cases import RawDataset, find_raw_folder, read_raw_dataset
from nnunetv2_pcrl.preparation.reader import find_reader

MAKER = "nnUNetv2_pcrl_pool"


@dataclass(frozen=True)
class Pool:
    """What was pooled.

    Attributes:
        num_cases: in the new data set.
        num_photographs: cases of them that were written as volumes of one slice.
        orientations: counts as text, if the volumes point in several directions; empty otherwise.
        failed: why images could not be turned.
    """

    num_cases: int
    num_photographs: int
    orientations: str
    failed: dict[str, str]


def pool_datasets(
    datasets: Sequence[int | str],
    target: Path,
    include_test_images: bool = False,
    channels: Sequence[str] | None = None,
    orientation: str = "",
) -> Pool:
    """Writes dataset.json and a manifest that name the images of several raw data sets.

    Photographs among volumes, such as slices stored as PNG, are written as volumes of one slice.

    Args:
        datasets: numbers or names.
        target: folder of the new raw data set, beside the others.
        include_test_images: take the images of imagesTs too.
        channels: names for the pooled channels; None takes those of the first data set.
        orientation: code that all volumes are brought to; those of others are written anew. ""
            leaves all as they are.

    Raises:
        ValueError: if the data sets differ in channels, normalisation or in what reads their
            volumes, or if the target is somebody else's.
    """
    folders = list(dict.fromkeys(find_raw_folder(dataset) for dataset in datasets))
    if target in folders:
        raise ValueError(f"{target.name} cannot be pooled into itself.")
    check_may_write(target, MAKER)
    pooled = [read_raw_dataset(folder, include_test_images) for folder in folders]
    _check_channels(pooled, channels)
    readers = {raw.name: _reader(raw) for raw in pooled}
    reader = _common_reader(readers)
    ending = next(raw.dataset_json["file_ending"] for raw in pooled if readers[raw.name] == reader)
    named: dict[str, list[str]] = {}
    photographs: set[str] = set()
    for raw in pooled:
        taken = {name.lower() for name in named}
        for identifier, images in raw.cases.items():
            name = _pooled_name(f"{raw.name[7:10]}_{identifier}", taken)
            taken.add(name.lower())
            named[name] = images
            if readers[raw.name] != reader:
                photographs.add(name)
    headers = {name: _header(images[0]) for name, images in named.items()}
    target.mkdir(exist_ok=True)
    cases, rows = {}, []
    failed = {path: why for raw in pooled for path, why in raw.nameless.items()}
    for name, images in tqdm(named.items(), desc="Images", disable=None):
        header = headers[name]
        code = orientation_of(header) if header else ""
        try:
            if name in photographs:
                paths = _written_as_volumes(images, pooled[0].num_channels, target, name)
                note = "written as a volume of one slice"
            elif orientation and code and code != orientation:
                paths = [
                    _turned(image, _written_path(target, name, channel), orientation)
                    for channel, image in enumerate(images)
                ]
                note = f"turned from {code} to {orientation}"
            else:
                paths, note = [Path(image) for image in images], ""
            cases[name] = [os.path.relpath(path, target) for path in paths]
            rows.append(ManifestRow(name, images[0], note))
        except (ValueError, RuntimeError) as error:
            failed[images[0]] = " ".join(str(error).split())
    names = channels or list(pooled[0].dataset_json["channel_names"].values())
    content = unlabelled_json(names, ending, reader, cases, MAKER)
    write_json(target / DATASET_JSON, content)
    write_manifest(target, [*rows, *(ManifestRow("", path, why) for path, why in failed.items())])
    is_reoriented = reader == REORIENTING_READER or orientation
    mixed = "" if is_reoriented else mixture(header for header in headers.values() if header)
    return Pool(len(cases), len(photographs & cases.keys()), mixed, failed)


def _pooled_name(name: str, taken: Container[str]) -> str:
    """A case's name with the number of its data set, changed only where it must be."""
    try:
        is_sound = len(check_case_name(name)) <= MAX_LENGTH and name.lower() not in taken
    except ValueError:
        is_sound = False
    return name if is_sound else case_name(name, taken)


def _header(image: str) -> Header | None:
    """Geometry of an image; None of one that cannot be read, which the preparation will say."""
    if is_photograph(Path(image)):
        return None
    try:
        return read_header(Path(image))
    except (ValueError, OSError):
        return None


def _written_path(target: Path, name: str, channel: int) -> Path:
    return target / f"imagesTr/{name}_{channel:04d}.nii.gz"


def _turned(image: str, path: Path, orientation: str) -> Path:
    """Writes an image in another orientation."""
    stamp = str((state_of([Path(image)]), orientation))
    write_once(path, stamp, lambda: oriented(SimpleITK.ReadImage(image), orientation))
    return path


def _written_as_volumes(
    images: Sequence[str], num_channels: int, target: Path, name: str
) -> list[Path]:
    """Writes photographs as volumes: a file per channel, of which one photograph may hold three.

    Raises:
        ValueError: if they have other channels, or are stacks.
    """
    in_one = num_channels if len(images) == 1 else 1
    if in_one * len(images) != num_channels or in_one not in (1, 3):
        raise ValueError(f"{len(images)} photographs cannot hold {num_channels} channels")
    paths: list[Path] = []
    for image, colour in product(map(Path, images), range(in_one)):
        path = _written_path(target, name, len(paths))
        stamp = str((state_of([image]), colour, in_one))
        write_once(path, stamp, partial(_volume_of, image, colour, in_one))
        paths.append(path)
    return paths


def _volume_of(photograph: Path, colour: int, num_colours: int) -> SimpleITK.Image:
    read_photograph_header(photograph)
    pixels = with_colours(read_photograph(photograph), num_colours)
    return as_volume(pixels if num_colours == 1 else pixels[..., colour])


def _check_channels(pooled: Sequence[RawDataset], channels: Sequence[str] | None) -> None:
    _check_equal("number of channels", {raw.name: raw.num_channels for raw in pooled})
    if channels is not None:
        if len(channels) != pooled[0].num_channels:
            raise ValueError(
                f"--channels names {len(channels)} channels, the images have "
                f"{pooled[0].num_channels}."
            )
        return
    schemes = {
        raw.name: [
            get_normalization_scheme(name).__name__
            for name in raw.dataset_json["channel_names"].values()
        ]
        for raw in pooled
    }
    _check_equal("normalisation (say it for all by --channels, e.g. zscore)", schemes)


def _common_reader(readers: Mapping[str, str]) -> str:
    """nnU-Net's reader of all volumes, or of photographs where there are no others."""
    of_volumes = {name: reader for name, reader in readers.items() if reader != NATURAL_READER}
    _check_equal("nnU-Net reader", of_volumes)
    return next(iter(of_volumes.values()), NATURAL_READER)


def _reader(raw: RawDataset) -> str:
    try:
        return find_reader(raw.dataset_json, raw.cases)
    except ValueError as error:
        raise ValueError(f"{raw.name}: {error}") from error


def _check_equal(what: str, values: dict) -> None:
    if len({str(value) for value in values.values()}) > 1:
        listed = ", ".join(f"{name}: {value}" for name, value in values.items())
        raise ValueError(f"These data sets differ in their {what}: {listed}.")
