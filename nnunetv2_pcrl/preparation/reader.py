"""Which of nnU-Net's readers reads a data set, whatever the order of its images."""

import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from nnunetv2.imageio.reader_writer_registry import (
    LIST_OF_IO_CLASSES,
    determine_reader_writer_from_dataset_json,
)

from nnunetv2_pcrl.datasets.intact import check_is_intact

# So many images are asked at most where the best reader reads none of them.
_ASKED = 10


def find_reader(dataset_json: Mapping[str, Any], cases: Mapping[str, Sequence[str]]) -> str:
    """Name of the reader that nnU-Net prefers among those that read an undamaged image.

    nnU-Net itself asks the first image only: a damaged one, which its preferred reader refuses,
    would change how all others are read.

    Args:
        dataset_json: its content.
        cases: image files per identifier.

    Raises:
        ValueError: if no image can be read.
    """
    preferred = [reader.__name__ for reader in LIST_OF_IO_CLASSES]
    found: set[str] = set()
    num_asked = 0
    for images in cases.values():
        name = _reader_of(dataset_json, images[0])
        if name is None:
            continue
        found.add(name)
        num_asked += 1
        if name == _best_reader(dataset_json) or num_asked == _ASKED:
            break
    if not found:
        raise ValueError(
            f"nnU-Net has no reader for the {len(cases)} images {dataset_json['file_ending']}, or "
            f"all of them are damaged, e.g. {next(iter(cases.values()))[0]}"
        )
    return min(found, key=lambda name: preferred.index(name) if name in preferred else 0)


def _reader_of(dataset_json: Mapping[str, Any], image: str) -> str | None:
    """Reader of one image, None if it is damaged or nothing reads it."""
    try:
        check_is_intact(image)
        with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(null):
            return determine_reader_writer_from_dataset_json(dataset_json, image).__name__
    except (ValueError, OSError, RuntimeError):
        return None


def _best_reader(dataset_json: Mapping[str, Any]) -> str:
    """The reader that nnU-Net tries first, or that dataset.json names."""
    with open(os.devnull, "w") as null, redirect_stdout(null):
        return determine_reader_writer_from_dataset_json(dataset_json, verbose=False).__name__
