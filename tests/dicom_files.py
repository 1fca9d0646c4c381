"""Writes small DICOM files, as scanners and archives leave them."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

CT, MR, PET = (f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("2", "4", "128"))
SEGMENTATION, DOSE = (f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("66.4", "481.2"))
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def write_file(
    path: Path, pixels: np.ndarray, sop_class: str = CT, preamble=True, **values
) -> Path:
    """Writes pixels [rows, columns] or [frames, rows, columns], int16, with any further values."""
    data = Dataset()
    pixels = np.asarray(pixels, "<i2")
    data.SOPClassUID, data.Modality, data.PatientID = sop_class, "CT", "P1"
    data.SOPInstanceUID = f"1.2.3.{int.from_bytes(str(path).encode()[-12:], 'big')}"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape[-2:]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.PixelSpacing = [1.0, 1.0]
    if pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    for name, value in values.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not preamble:
        data.save_as(path, implicit_vr=False, little_endian=True)
        return path
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    uid: str,
    array: np.ndarray,
    step=(0.0, 0.0, 2.0),
    orientation=AXIAL,
    slopes=None,
    start=(0.0, 0.0, 0.0),
    stem="im",
    **values,
) -> np.ndarray:
    """Writes slices [D, H, W] a step (mm) apart, in the order of their positions."""
    for number, plane in enumerate(array):
        position = [float(a + number * b) for a, b in zip(start, step, strict=True)]
        more = {"RescaleSlope": slopes[number], "RescaleIntercept": 0} if slopes is not None else {}
        write_file(
            folder / f"{stem}{uid.rsplit('.', 1)[-1]}_{number}",
            plane,
            SeriesInstanceUID=uid,
            InstanceNumber=number + 1,
            ImagePositionPatient=position,
            ImageOrientationPatient=list(orientation),
            **{**more, **values},
        )
    return array


def functional_groups(positions, slopes=None) -> dict:
    """Values of a multi-frame file with a position, and perhaps a slope, per frame."""
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.7], 2
    orientation.ImageOrientationPatient = list(AXIAL)
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    frames = []
    for number, position in enumerate(positions):
        frame, plane = Dataset(), Dataset()
        plane.ImagePositionPatient = list(position)
        frame.PlanePositionSequence = Sequence([plane])
        if slopes is not None:
            rescale = Dataset()
            rescale.RescaleSlope, rescale.RescaleIntercept = slopes[number], 0
            rescale.RescaleType = "US"
            frame.PixelValueTransformationSequence = Sequence([rescale])
        frames.append(frame)
    return {
        "sop_class": ENHANCED_CT,
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(frames),
    }


def noise(seed: int = 0, size=(6, 8, 9)) -> np.ndarray:
    """Planes of HU, with more values than a segmentation has."""
    return np.random.default_rng(seed).integers(-1000, 1000, size).astype(np.int16)
