"""DICOM series: finding them in a folder, checking their slices, and writing them as one image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK

from nnunetv2_pcrl.datasets.placing import write_image

_POSITION, _ORIENTATION, _DESCRIPTION = "0020|0032", "0020|0037", "0008|103e"
# The description in a NIfTI header, and how much of it SimpleITK writes.
_NOTE, _NOTE_LENGTH = "ITK_FileNotes", 79
# Distances of slices within a regular series differ by rounding only, mm.
_TOLERANCE = 0.01


@dataclass(frozen=True)
class Series:
    """Files of one series in the order of their positions.

    Attributes:
        uid: series instance UID.
        files: one per slice.
    """

    uid: str
    files: tuple[str, ...]


def is_dicom(path: Path) -> bool:
    """True if the file carries DICOM's mark."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def find_series(folder: Path) -> list[Series]:
    """All series whose files lie in a folder, not below it."""
    reader = SimpleITK.ImageSeriesReader
    uids = sorted(reader.GetGDCMSeriesIDs(str(folder)))
    return [Series(uid, reader.GetGDCMSeriesFileNames(str(folder), uid)) for uid in uids]


def check_slices(series: Series) -> None:
    """Refuses series with missing or doubled slices, and those of several stacks.

    Raises:
        ValueError: with the distances.
    """
    if len(series.files) < 2:
        return
    positions, orientations = [], set()
    for file in series.files:
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(file)
        reader.ReadImageInformation()
        if not all(reader.HasMetaDataKey(key) for key in (_POSITION, _ORIENTATION)):
            raise ValueError("its slices have no position")
        positions.append([float(v) for v in reader.GetMetaData(_POSITION).split("\\")])
        orientations.add(tuple(np.round(_numbers(reader.GetMetaData(_ORIENTATION)), 3)))
    if len(orientations) > 1:
        raise ValueError(f"its slices have {len(orientations)} orientations")
    row, column = np.array(orientations.pop()).reshape(2, 3)
    distances = np.diff(np.array(positions) @ np.cross(row, column))
    low, high = np.abs(distances).min(), np.abs(distances).max()
    if high - low > max(_TOLERANCE, 0.01 * high):
        raise ValueError(
            f"its {len(series.files)} slices are {low:g} to {high:g} mm apart: some are missing or "
            f"doubled"
        )


def _numbers(text: str) -> list[float]:
    return [float(v) for v in text.split("\\")]


def write_series(series: Series, path: Path) -> None:
    """Writes a series as one image; does nothing if the file holds this series already."""
    note = f"{series.uid} {len(series.files)}"[:_NOTE_LENGTH]
    if path.is_file() and _note_of(path) == note:
        return
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(series.files)
    image = reader.Execute()
    image.SetMetaData(_NOTE, note)
    write_image(image, path)


def _note_of(path: Path) -> str:
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader.GetMetaData(_NOTE) if reader.HasMetaDataKey(_NOTE) else ""
