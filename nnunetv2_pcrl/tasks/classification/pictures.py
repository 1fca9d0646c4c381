"""Pictures of cases: the middle slice of the first channel, from preprocessed or raw images."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_file_ending

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError

_FIRST_CHANNEL = "_0000."


class Pictures(Protocol):
    """Where pictures come from."""

    def of(self, identifier: str) -> np.ndarray | None:
        """A picture of a case, shape [H, W]; None if there is none."""


class PreprocessedPictures:
    """Pictures of preprocessed cases."""

    def __init__(self, folder: str | os.PathLike):
        """Opens nothing yet.

        Args:
            folder: nnU-Net's preprocessed data of one configuration.
        """
        self._folder = folder

    def of(self, identifier: str) -> np.ndarray | None:
        """A picture of a case, shape [H, W]; None if it cannot be read."""
        try:
            case = PreprocessedCase(self._folder, identifier)
            depth, height, width = case.image_size
            return case.read(Box((depth // 2, 0, 0), (1, height, width)))[0, 0].numpy()
        except UnusableCaseError:
            return None


class RawPictures:
    """Pictures of images as nnU-Net names them: CASE_0000.png and the like."""

    def __init__(self, folders: Iterable[Path]):
        """Looks for images; folders may be missing."""
        self._files = {
            path.name[: path.name.rindex(_FIRST_CHANNEL)]: path
            for folder in folders
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if _FIRST_CHANNEL in path.name
        }

    def of(self, identifier: str) -> np.ndarray | None:
        """A picture of a case, shape [H, W]; None if there is no file, or none that can be read."""
        path = self._files.get(identifier)
        if path is None:
            return None
        ending = path.name[path.name.rindex(_FIRST_CHANNEL) + len(_FIRST_CHANNEL) - 1 :]
        try:
            reader = determine_reader_writer_from_file_ending(
                ending, str(path), allow_nonmatching_filename=True, verbose=False
            )
            image = reader().read_images((str(path),))[0]
        except Exception:
            # What readers raise on a damaged file is of almost any type.
            return None
        return np.asarray(image[0, image.shape[1] // 2])
