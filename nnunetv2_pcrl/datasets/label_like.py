"""Tells segmentations from images: by the usual names of files and folders, and by their values."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

import numpy as np
import SimpleITK

from nnunetv2_pcrl.datasets.image_files import under_a_lower_case_ending
from nnunetv2_pcrl.datasets.nifti import is_nifti, voxel_pieces

_WORDS = (
    r"(?:seg|segm|segs|segmentation|segmentations|label|labels|labelmap|mask|masks|gt|"
    r"groundtruth|annotation|annotations|delineation|delineations)"
)
# Words as a whole, and joined ones such as dseg, brainmask, autoseg.
_FILE_WORD = re.compile(rf"(?:{_WORDS}|[a-z]+(?:mask|masks|seg|segmentation))", re.IGNORECASE)
_FOLDER = re.compile(
    rf"(?:.*[^a-z])?{_WORDS}[ _-]?(?:tr|ts|va|val|train|training|test|valid|validation)?",
    re.IGNORECASE,
)
# E.g. images_and_labels, without_labels.
_NO_LABEL_FOLDER = re.compile(r"im(?:a)?g|scan|volume|(?:no|non|without)[ _-]", re.IGNORECASE)
# Images have more values; label sets with more are rare.
MAX_VALUES = 32


def has_label_name(relative: PurePath) -> bool:
    """Whether a path below the folder of images is named like a segmentation.

    Args:
        relative: without the folder that a person named, which may be called anything.
    """
    folders = (part for part in relative.parts[:-1] if not _NO_LABEL_FOLDER.search(part))
    if any(_FOLDER.fullmatch(folder) for folder in folders):
        return True
    stem = re.sub(r"(\.nii)?\.\w+$", "", relative.name, flags=re.IGNORECASE)
    words = re.split(r"[^A-Za-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", stem))
    return any(_FILE_WORD.fullmatch(word) for word in words)


def has_label_values(path: Path) -> bool:
    """Whether all voxels of an image are integers, and few different ones.

    Stops reading at the first part that an image has and a segmentation has not.
    """
    if is_nifti(path):
        return are_label_values(voxel_pieces(path))
    with under_a_lower_case_ending(path) as readable:
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(readable))
        reader.ReadImageInformation()
        size = reader.GetSize()
        if len(size) > 2:
            # Formats that are not compressed read only this.
            reader.SetExtractIndex([0] * (len(size) - 1) + [size[-1] // 2])
            reader.SetExtractSize([*size[:-1], 1])
            if not are_label_values([SimpleITK.GetArrayFromImage(reader.Execute())]):
                return False
        image = SimpleITK.ReadImage(str(readable))
    return are_label_values([SimpleITK.GetArrayFromImage(image)])


def are_label_values(pieces: Iterable[np.ndarray]) -> bool:
    """The same for voxels that come in pieces of any shape; False if there are none."""
    found: set = set()
    for piece in pieces:
        values = np.unique(piece)
        if len(values) > MAX_VALUES or not _are_integers(values):
            return False
        found |= set(values.tolist())
        if len(found) > MAX_VALUES:
            return False
    return bool(found)


def _are_integers(values: np.ndarray) -> bool:
    if np.iscomplexobj(values):
        return False
    return bool(np.isfinite(values).all() and (values == np.rint(values)).all())
