"""The fingerprint of images without labels: what nnU-Net plans from, measured on their content.

Every case leaves a small file, so that an interrupted run goes on where it stopped and memory does
not grow with the number of images.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from nnunetv2.imageio.reader_writer_registry import recursive_find_reader_writer_by_name
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

from nnunetv2_pcrl.datasets.intact import check_is_intact
from nnunetv2_pcrl.datasets.parallel import run_cases
from nnunetv2_pcrl.preparation.usable_images import check_can_be_used
from nnunetv2_pcrl.weights.atomic import replaced_atomically

# Sampled intensities per channel, of all cases together and of one case at most.
MAX_SAMPLES = 10_000_000
MAX_SAMPLES_PER_CASE = 1_000_000
# Voxels of a case from which intensities are sampled; larger images are thinned to a grid.
MAX_VOXELS = 4_000_000
# Air and the padding outside a scanner's field of view, in HU.
AIR = -1000.0


def measure_cases(
    cases: Mapping[str, Sequence[str]],
    channels: Sequence[str],
    reader: str,
    folder: Path,
    num_processes: int,
) -> dict[str, str]:
    """Measures the cases that were not measured yet, or whose files changed since.

    Args:
        cases: image files per identifier.
        channels: channel names in order; of a channel "CT" air does not count.
        reader: name of nnU-Net's class that reads the files.
        folder: where a file CASE.npz per case is written.
        num_processes: worker processes.

    Returns:
        Reasons of the cases that cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    num_samples = max(1, min(MAX_SAMPLES_PER_CASE, MAX_SAMPLES // max(1, len(cases))))
    is_ct = [name.casefold() == "ct" for name in channels]
    jobs, failed = {}, {}
    for identifier, images in cases.items():
        missing = [image for image in images if not os.path.isfile(image)]
        if missing:
            failed[identifier] = f"there is no file {missing[0]}"
            continue
        path = folder / f"{identifier}.npz"
        if not path.is_file() or _read_signature(path) != _signature(images, is_ct):
            jobs[identifier] = (path, list(images), is_ct, reader, num_samples)
    unreadable, _ = run_cases(measure_case, jobs, num_processes, "Fingerprint of the images")
    return failed | unreadable


def measure_case(
    path: Path, images: Sequence[str], is_ct: Sequence[bool], reader: str, num_samples: int
) -> None:
    """Reads a case and writes shape, spacing and sampled intensities of its non-zero region.

    Raises:
        ValueError: if a file is damaged, or the image has other channels or no content.
    """
    for image in images:
        check_is_intact(image)
        check_can_be_used(image)
    data, properties = recursive_find_reader_writer_by_name(reader)().read_images(list(images))
    if len(data) != len(is_ct):
        raise ValueError(
            f"the image has {len(data)} channels (shape {data.shape}), dataset.json names "
            f"{len(is_ct)}"
        )
    if not np.isfinite(data).all():
        raise ValueError("the image contains values that are not finite (NaN or infinite)")
    if data.min() == data.max():
        raise ValueError(f"all voxels of the image are {data.min():g}")
    cropped, outside, _ = crop_to_nonzero(data)
    content = _thinned(outside) >= 0
    samples = [
        _sample(_thinned(cropped[c : c + 1]), content, is_ct[c], num_samples)
        for c in range(len(data))
    ]
    with replaced_atomically(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            signature=_signature(images, is_ct),
            shape=cropped.shape[1:],
            spacing=np.asarray(properties["spacing"], dtype=float),
            relative_size=np.prod(cropped.shape[1:]) / np.prod(data.shape[1:]),
            intensities=np.stack(samples).astype(np.float32),
        )


def read_geometry(path: Path) -> tuple[list[int], list[float]]:
    """Shape and spacing (mm) of a measured case, of its non-zero region."""
    with np.load(path) as file:
        return file["shape"].tolist(), file["spacing"].tolist()


def _signature(images: Sequence[str], is_ct: Sequence[bool]) -> str:
    """Changes when one of the files changes, or what is measured."""
    stats = [os.stat(image) for image in images]
    files = [f"{i}:{s.st_size}:{s.st_mtime_ns}" for i, s in zip(images, stats, strict=True)]
    return ";".join((*files, str(list(is_ct))))


def _read_signature(path: Path) -> str:
    try:
        with np.load(path) as file:
            return str(file["signature"])
    except (ValueError, OSError, KeyError, EOFError, BadZipFile):
        # Damaged: the case is measured anew.
        return ""


def _thinned(image: np.ndarray) -> np.ndarray:
    """Every n-th voxel per axis of an image [C, D, H, W], so many that MAX_VOXELS are left."""
    step = int(np.ceil((np.prod(image.shape[1:]) / MAX_VOXELS) ** (1 / 3)))
    return image[:, ::step, ::step, ::step]


def _sample(channel: np.ndarray, content: np.ndarray, is_ct: bool, num_samples: int) -> np.ndarray:
    """Intensities of the content, by nnU-Net's own sampling with the content as foreground."""
    if is_ct and (content & (channel > AIR)).any():
        content = content & (channel > AIR)
    if not content.any():
        content = np.ones_like(content)
    (samples,), _ = DatasetFingerprintExtractor.collect_foreground_intensities(
        content.astype(np.int8), channel, num_samples=num_samples
    )
    return samples


def combine_measurements(
    identifiers: Sequence[str], num_channels: int, folder: Path
) -> dict[str, Any]:
    """A fingerprint in the form of nnU-Net's dataset_fingerprint.json.

    Args:
        identifiers: measured cases.
        num_channels: channels of the images.
        folder: holds a file CASE.npz per case.
    """
    per_case = max(1, MAX_SAMPLES // len(identifiers))
    shapes, spacings, relative_sizes, intensities = [], [], [], []
    for identifier in identifiers:
        with np.load(folder / f"{identifier}.npz") as file:
            shapes.append(file["shape"].tolist())
            spacings.append(file["spacing"].tolist())
            relative_sizes.append(float(file["relative_size"]))
            intensities.append(file["intensities"][:, :per_case])
    # Cases measured when there were fewer of them hold more samples; all shall count the same.
    least = min(values.shape[1] for values in intensities)
    pooled = np.concatenate([values[:, :least] for values in intensities], axis=1)
    return {
        "spacings": spacings,
        "shapes_after_crop": shapes,
        "foreground_intensity_properties_per_channel": {
            str(c): _statistics(pooled[c]) for c in range(num_channels)
        },
        "median_relative_size_after_cropping": float(np.median(relative_sizes)),
    }


def _statistics(values: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(values, (0.5, 50.0, 99.5))
    return {
        "mean": float(np.mean(values, dtype=np.float64)),
        "median": float(median),
        "std": float(np.std(values, dtype=np.float64)),
        "min": float(values.min()),
        "max": float(values.max()),
        "percentile_99_5": float(high),
        "percentile_00_5": float(low),
    }
