"""Headers of DICOM files, each read once and without its voxels."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset

from nnunetv2_pcrl.datasets.dicom_objects import modality_of

# Headers of the world break rules that do not matter here.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE

ENDINGS = (".dcm", ".dicom", ".ima")
_MARK_AT = 128
# A file without the mark begins with an element of group 2 or 8, in either byte order.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
# What tells the stacks apart that some scanners put into one series.
STACK_KEYS = (
    "EchoNumbers",
    "EchoTime",
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "ConvolutionKernel",
    "ImageType",
    "SliceThickness",
    "AcquisitionNumber",
    "TriggerTime",
    "AcquisitionTime",
)
_READ = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "Modality",
    "SeriesDescription",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "RescaleSlope",
    "RescaleIntercept",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SpacingBetweenSlices",
    "GridFrameOffsetVector",
    "InstanceNumber",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "SpecificCharacterSet",
    *STACK_KEYS,
]


@dataclass(frozen=True)
class Frame:
    """A plane of voxels.

    Attributes:
        position: of its first voxel, mm; None if the file does not say.
        orientation: direction cosines of a row and of a column; None if the file does not say.
        slope, intercept: from stored to real values.
    """

    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    slope: float
    intercept: float


@dataclass(frozen=True)
class DicomHeader:
    """What a file says of itself.

    Attributes:
        path: the file.
        patient, study_uid, series_uid, uid: whose it is; empty where it is not said.
        modality: e.g. CT; by the class of the object where the two disagree on what is an image.
        description: of the series.
        frame_of_reference: UID of the patient's position.
        size: columns and rows.
        num_components: 3 for colours.
        stored_as: bits and sign of the stored values.
        is_inverted: low values are bright.
        spacing: mm between columns and between rows; None if it is not said.
        frames: planes; most files have one.
        stack_values: values of `STACK_KEYS`, as text.
    """

    path: Path
    patient: str
    study_uid: str
    series_uid: str
    uid: str
    modality: str
    description: str
    frame_of_reference: str
    size: tuple[int, int]
    num_components: int
    stored_as: tuple[int, int]
    is_inverted: bool
    spacing: tuple[float, float] | None
    frames: tuple[Frame, ...]
    stack_values: tuple[str, ...]

    def stack_value(self, key: str) -> str:
        """One of `stack_values`, empty if the file does not say it."""
        return self.stack_values[STACK_KEYS.index(key)]


def read_dicom_header(path: Path) -> DicomHeader | None:
    """Reads the header of a file if it is a DICOM object.

    Args:
        path: a regular file of any kind.

    Returns:
        None if it is something else, or a directory of a disc.

    Raises:
        ValueError: if it is called DICOM but cannot be read, or is damaged.
        OSError: if the file cannot be opened.
    """
    is_named = path.name.lower().endswith(ENDINGS)
    with open(path, "rb") as file:
        start = file.read(_MARK_AT + 4)
        is_marked = start[_MARK_AT:] == b"DICM"
        if not (is_marked or is_named or start[:2] in _FIRST_GROUPS):
            return None
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = pydicom.dcmread(
                    file,
                    stop_before_pixels=True,
                    force=not is_marked,
                    specific_tags=list(_READ),
                )
                return _header(path, data, is_marked)
        except Exception as error:
            # Damaged headers make pydicom raise almost anything.
            if not (is_marked or is_named):
                return None
            if isinstance(error, _RefusedError):
                raise
            reason = " ".join(str(error).split())
            raise ValueError(f"its DICOM header cannot be read ({reason})") from error


class _RefusedError(ValueError):
    """A header that could be read and says something impossible."""


def _header(path: Path, data: Dataset, is_marked: bool) -> DicomHeader | None:
    sop_class = _text(data, "SOPClassUID")
    media_class = str(getattr(data, "file_meta", {}).get("MediaStorageSOPClassUID", ""))
    if _STORAGE_DIRECTORY in (sop_class, media_class):
        return None
    is_told = sop_class or _text(data, "Modality") or "Rows" in data
    if not is_told:
        raise _RefusedError("its DICOM header says nothing" if is_marked else "it is no DICOM file")
    modality = modality_of(_text(data, "Modality"), sop_class or media_class)
    num_frames = int(data.get("NumberOfFrames") or 1)
    offsets = data.get("GridFrameOffsetVector")
    if modality == "RTDOSE" and offsets is not None and len(_numbers(offsets)) != num_frames:
        raise _RefusedError(
            f"it is a damaged dose: {num_frames} planes, and {len(_numbers(offsets))} offsets"
        )
    return DicomHeader(
        path,
        _text(data, "PatientID"),
        _text(data, "StudyInstanceUID"),
        _text(data, "SeriesInstanceUID"),
        _text(data, "SOPInstanceUID"),
        modality,
        _text(data, "SeriesDescription"),
        _text(data, "FrameOfReferenceUID"),
        (int(data.get("Columns") or 0), int(data.get("Rows") or 0)),
        int(data.get("SamplesPerPixel") or 1),
        (int(data.get("BitsAllocated") or 0), int(data.get("PixelRepresentation") or 0)),
        _text(data, "PhotometricInterpretation") == "MONOCHROME1",
        _spacing(data),
        _frames(data, num_frames),
        tuple(_text(data, key) for key in STACK_KEYS),
    )


def _text(data: Dataset, keyword: str) -> str:
    value = data.get(keyword)
    if value is None:
        return ""
    text = str(value) if isinstance(value, (str, int, float)) else _joined(value)
    return " ".join(text.replace("\0", " ").split())


def _joined(value: Any) -> str:
    try:
        return "\\".join(str(part) for part in value)
    except TypeError:
        return str(value)


def _numbers(value: Any) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in value)
    except TypeError:
        return (float(value),)


def _group(item: Dataset | None, sequence: str) -> Dataset:
    """The only item of a sequence, empty if there is none."""
    found = item.get(sequence) if item is not None else None
    return found[0] if found else Dataset()


def _shared(data: Dataset) -> Dataset:
    return _group(data, "SharedFunctionalGroupsSequence")


def _spacing(data: Dataset) -> tuple[float, float] | None:
    per_frame = _group(data, "PerFrameFunctionalGroupsSequence")
    measures = [_group(item, "PixelMeasuresSequence") for item in (_shared(data), per_frame)]
    for item in (*measures, data):
        for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
            value = item.get(keyword)
            if value is not None and len(_numbers(value)) == 2:
                rows, columns = _numbers(value)
                return (columns, rows) if rows > 0 and columns > 0 else None
    return None


def _frames(data: Dataset, num_frames: int) -> tuple[Frame, ...]:
    shared, items = _shared(data), data.get("PerFrameFunctionalGroupsSequence") or []
    if num_frames == 1 and not items:
        return (_frame(data, [data]),)
    if len(items) == num_frames:
        return tuple(_frame(data, [item, shared]) for item in items)
    return _regular_frames(data, num_frames)


def _frame(data: Dataset, items: list[Dataset]) -> Frame:
    """A plane by the first of the items that says something, and then by the file's top level."""

    def value(sequence: str, keyword: str) -> tuple[float, ...] | None:
        for item in (*(_group(item, sequence) for item in items), data):
            if item.get(keyword) is not None:
                return _numbers(item.get(keyword))
        return None

    position = value("PlanePositionSequence", "ImagePositionPatient")
    orientation = value("PlaneOrientationSequence", "ImageOrientationPatient")
    slope = value("PixelValueTransformationSequence", "RescaleSlope")
    intercept = value("PixelValueTransformationSequence", "RescaleIntercept")
    return Frame(
        position if position and len(position) == 3 else None,
        orientation if orientation and len(orientation) == 6 else None,
        (slope[0] if slope else 1.0) or 1.0,
        intercept[0] if intercept else 0.0,
    )


def _regular_frames(data: Dataset, num_frames: int) -> tuple[Frame, ...]:
    """Planes of older objects, which say the first position and the distance only."""
    first = _frame(data, [data])
    step = data.get("SpacingBetweenSlices")
    if first.position is None or first.orientation is None or not step:
        return (Frame(None, first.orientation, first.slope, first.intercept),) * num_frames
    (a, b, c), (d, e, f) = first.orientation[:3], first.orientation[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    frames = []
    for number in range(num_frames):
        pairs = zip(first.position, normal, strict=True)
        position = tuple(p + number * float(step) * n for p, n in pairs)
        frames.append(Frame(position, first.orientation, first.slope, first.intercept))
    return tuple(frames)
