"""Pools raw data sets into one for pretraining, by reference."""

import os
from collections.abc import Sequence
from pathlib import Path

from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import (
    get_normalization_scheme,
)

from nnunetv2_pcrl.datasets.raw import (
    DATASET_JSON,
    ManifestRow,
    check_may_write,
    unlabelled_json,
    write_json,
    write_manifest,
)
from nnunetv2_pcrl.preparation.raw_cases import RawDataset, find_raw_folder, read_raw_dataset

MAKER = "nnUNetv2_pcrl_pool"


def pool_datasets(
    datasets: Sequence[int | str],
    target: Path,
    include_test_images: bool = False,
    channels: Sequence[str] | None = None,
) -> int:
    """Writes dataset.json and a manifest that name the images of several raw data sets.

    Args:
        datasets: numbers or names.
        target: folder of the new raw data set, beside the others.
        include_test_images: take the images of imagesTs too.
        channels: names for the pooled channels; None takes those of the first data set.

    Returns:
        Number of cases.

    Raises:
        ValueError: if the data sets differ in channels, normalisation or file format, or if the
            target is somebody else's.
    """
    folders = list(dict.fromkeys(find_raw_folder(dataset) for dataset in datasets))
    if target in folders:
        raise ValueError(f"{target.name} cannot be pooled into itself.")
    check_may_write(target, MAKER)
    pooled = [read_raw_dataset(folder, include_test_images) for folder in folders]
    _check_channels(pooled, channels)
    readers = {raw.name: _reader(raw) for raw in pooled}
    _check_equal("nnU-Net reader", readers)
    cases, rows = {}, []
    for raw in pooled:
        for identifier, images in raw.cases.items():
            name = f"{raw.name[7:10]}_{identifier}"
            cases[name] = [os.path.relpath(image, target) for image in images]
            rows.append(ManifestRow(name, images[0]))
    names = channels or list(pooled[0].dataset_json["channel_names"].values())
    target.mkdir(exist_ok=True)
    ending = pooled[0].dataset_json["file_ending"]
    content = unlabelled_json(names, ending, readers[pooled[0].name], cases, MAKER)
    write_json(target / DATASET_JSON, content)
    write_manifest(target, rows)
    return len(cases)


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


def _reader(raw: RawDataset) -> str:
    """nnU-Net's reader by the data set's own dataset.json; images are not opened."""
    try:
        return determine_reader_writer_from_dataset_json(raw.dataset_json, verbose=False).__name__
    except RuntimeError as error:
        raise ValueError(f"{raw.name}: {error}") from error


def _check_equal(what: str, values: dict) -> None:
    if len({str(value) for value in values.values()}) > 1:
        listed = ", ".join(f"{name}: {value}" for name, value in values.items())
        raise ValueError(f"These data sets differ in their {what}: {listed}.")
