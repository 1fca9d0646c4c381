"""DICOM files become series, and series become stacks of planes that are one image each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from filecmp import cmp
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.dicom_headers import STACK_KEYS, DicomHeader, Frame
from nnunetv2_pcrl.datasets.dicom_objects import NO_IMAGES
from nnunetv2_pcrl.datasets.headers import Header

# Begins the title of every series.
SERIES_TITLE = "DICOM series"
# Distances of planes within a regular series differ by rounding only, mm.
_TOLERANCE = 0.01
# Modalities whose images are planes of a volume; of others every file is an image.
_SLICED = ("CT", "MR", "PT", "NM", "")
# Drift of the planes against one another from which they are straightened, pixels.
_LEAST_DRIFT = 0.5


@dataclass(frozen=True)
class Series:
    """A stack of planes that makes an image.

    Attributes:
        headers: files in the order of their planes; one where a file holds all planes.
        order: of the planes of a single file.
        geometry: of the image.
        drift: mm along rows and columns by which a plane lies beside the one before, as with a
            tilted gantry.
        part: what tells it from other stacks of the same series; empty if there are none.
        copies: files that were the same as others, byte by byte.
    """

    headers: tuple[DicomHeader, ...]
    order: tuple[int, ...]
    geometry: Header
    drift: tuple[float, float] = (0.0, 0.0)
    part: str = ""
    copies: int = 0

    @property
    def first(self) -> DicomHeader:
        """Header of the first file, for what is the same in all."""
        return self.headers[0]

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self.first.path.parent

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Planes in the order of their positions."""
        if len(self.headers) > 1:
            return tuple(header.frames[0] for header in self.headers)
        return tuple(self.first.frames[number] for number in self.order)

    @property
    def is_tilted(self) -> bool:
        """Whether the planes drift so far that they must be straightened."""
        total = np.abs(self.drift) * (len(self.frames) - 1)
        return bool((total > _LEAST_DRIFT * np.array(self.geometry.spacing[:2])).any())

    @property
    def tilt_degrees(self) -> float:
        """Angle between the normal of the planes and the way from one to the next."""
        return float(np.degrees(np.arctan2(np.hypot(*self.drift), self.geometry.spacing[2])))

    @property
    def title(self) -> str:
        """Series, modality, description and what else tells it from others."""
        kernel = self.first.stack_value("ConvolutionKernel")
        about = (self.first.modality, self.first.description, kernel, self.part)
        name = f"{SERIES_TITLE} {self.first.series_uid}".strip()
        return ", ".join(part for part in (name, *dict.fromkeys(about)) if part)


def group_series(
    headers: Iterable[DicomHeader],
) -> tuple[list[Series], dict[str, str], dict[str, str]]:
    """Makes images of the files of a whole folder tree, in linear time.

    Args:
        headers: of all files.

    Returns:
        The images in the order of their first files; why others cannot be used; and objects that
        are no images. Each of the latter two has an entry per series.
    """
    groups: dict[tuple, list[DicomHeader]] = {}
    for header in headers:
        place = "" if header.series_uid else str(header.path.parent)
        key = (header.patient, header.study_uid, header.series_uid, header.modality, place)
        groups.setdefault(key, []).append(header)
    found: list[Series] = []
    failed: dict[str, str] = {}
    others: dict[str, str] = {}
    for group in groups.values():
        name = source_name(group)
        if group[0].modality in NO_IMAGES:
            others[name] = f"it is {NO_IMAGES[group[0].modality]} and no image"
            continue
        without = [header for header in group if min(header.size) == 0]
        if without:
            others[source_name(without)] = "it has no voxels"
        group = [header for header in group if min(header.size) > 0]
        for files in _candidates(group):
            series, reasons = _stacks(files)
            found += series
            failed |= reasons
    return sorted(found, key=lambda series: str(series.first.path)), failed, others


def source_name(headers: Sequence[DicomHeader]) -> str:
    """Names files of a series in lists: no two series have the same name."""
    first = min(headers, key=lambda header: str(header.path))
    files = f"{len(headers)} files" if len(headers) > 1 else "1 file"
    uid = first.series_uid or "without a number"
    return f"{first.path} ({files} of series {uid})"


def _candidates(group: list[DicomHeader]) -> list[list[DicomHeader]]:
    """Files that may make one image: a file with many planes makes one alone."""
    single = [header for header in group if len(header.frames) == 1]
    candidates = [[header] for header in group if len(header.frames) > 1]
    is_sliced = bool(single) and (
        single[0].modality in _SLICED or all(header.frames[0].position for header in single)
    )
    if is_sliced:
        return [*candidates, single]
    return candidates + [[header] for header in single]


def _stacks(files: list[DicomHeader]) -> tuple[list[Series], dict[str, str]]:
    """Images of one series, and why its files make none."""
    kept = _without_copies(files)
    try:
        return [replace(_stack(kept), copies=len(files) - len(kept))], {}
    except _DoubledError as error:
        for key, parts in _ways_to_part(kept):
            try:
                series = [replace(_stack(part), part=text) for text, part in parts.items()]
            except ValueError:
                continue
            if all(len(stack.headers) > 1 for stack in series):
                return [replace(s, part=f"{key} {s.part}".strip()) for s in series], {}
        return [], {source_name(files): str(error)}
    except ValueError as error:
        return [], {source_name(files): str(error)}


class _DoubledError(ValueError):
    """Several planes lie at the same place."""


def _ways_to_part(files: list[DicomHeader]) -> Iterable[tuple[str, dict[str, list[DicomHeader]]]]:
    """By folder, and by each value that tells stacks apart; only where there are two at least."""
    ways = [("", [header.path.parent.name for header in files])]
    ways += [(_words(key), [header.stack_value(key) for header in files]) for key in STACK_KEYS]
    for key, values in ways:
        parts: dict[str, list[DicomHeader]] = {}
        for value, header in zip(values, files, strict=True):
            parts.setdefault(value, []).append(header)
        if 1 < len(parts) < len(files):
            yield key, parts


def _words(key: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in key).strip()


def _without_copies(files: list[DicomHeader]) -> list[DicomHeader]:
    """Drops files that are the same as an earlier one byte by byte."""
    kept: list[DicomHeader] = []
    by_uid: dict[str, list[DicomHeader]] = {}
    for header in files:
        same = by_uid.setdefault(header.uid, []) if header.uid else []
        if any(cmp(header.path, other.path, shallow=False) for other in same):
            continue
        same.append(header)
        kept.append(header)
    return kept


def _stack(headers: Sequence[DicomHeader]) -> Series:
    """Orders the planes of files, and refuses what is no regular stack.

    Raises:
        ValueError: with the numbers.
    """
    if "MOSAIC" in headers[0].stack_value("ImageType").upper():
        raise ValueError("each file is a mosaic of slices; convert it to NIfTI (dcm2niix)")
    sizes = {header.size for header in headers}
    if len(sizes) > 1:
        listed = " and ".join(f"{w} x {h}" for w, h in sorted(sizes))
        raise ValueError(f"its slices have {len(sizes)} sizes: {listed}")
    spacings = {tuple(np.round(header.spacing or (1.0, 1.0), 3)) for header in headers}
    if len(spacings) > 1:
        listed = " and ".join(f"{x:g} x {y:g}" for x, y in sorted(spacings))
        raise ValueError(f"its slices have {len(spacings)} pixel spacings: {listed} mm")
    if len({header.num_components for header in headers}) > 1:
        raise ValueError("some of its slices are grey and some are in colour")
    frames = [frame for header in headers for frame in header.frames]
    spacing = headers[0].spacing or (1.0, 1.0)
    if len(frames) == 1:
        return _plane(headers[0], spacing)
    known = [frame.orientation for frame in frames if frame.orientation is not None]
    if len(known) < len(frames) or any(frame.position is None for frame in frames):
        what = "slices" if len(headers) > 1 else "frames"
        raise ValueError(f"its {len(frames)} {what} have no position: they make no volume")
    orientations = {tuple(np.round(orientation, 3)) for orientation in known}
    if len(orientations) > 1:
        raise ValueError(f"its slices have {len(orientations)} orientations")
    row, column = np.array(known[0]).reshape(2, 3)
    normal = np.cross(row, column)
    if not np.isclose(np.linalg.norm(normal), 1, atol=0.01):
        raise ValueError("the directions of its rows and columns are impossible")
    positions = np.array([frame.position for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    distances = np.diff(positions @ normal)
    _check_distances(distances)
    steps = np.diff(positions, axis=0) @ np.stack([row, column]).T
    if (np.abs(steps - steps.mean(axis=0)) > _LEAST_DRIFT * np.array(spacing)).any():
        raise ValueError("its slices lie beside one another irregularly")
    size = (*headers[0].size, len(frames))
    geometry = Header(
        size,
        (*spacing, float(distances.mean())),
        tuple(positions[0].tolist()),
        tuple(np.stack([row, column, normal], axis=1).ravel().tolist()),
        headers[0].num_components,
    )
    numbers = tuple(int(number) for number in order)
    ordered = tuple(headers[number] for number in numbers) if len(headers) > 1 else tuple(headers)
    return Series(ordered, numbers, geometry, tuple(steps.mean(axis=0).tolist()))


def _plane(header: DicomHeader, spacing: tuple[float, float]) -> Series:
    """The image of a single plane, which is flat."""
    frame = header.frames[0]
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    row, column = np.array(frame.orientation or identity).reshape(2, 3)
    geometry = Header(
        (*header.size, 1),
        (*spacing, 1.0),
        tuple(frame.position or (0.0, 0.0, 0.0)),
        tuple(np.stack([row, column, np.cross(row, column)], axis=1).ravel().tolist()),
        header.num_components,
    )
    return Series((header,), (0,), geometry)


def _check_distances(distances: np.ndarray) -> None:
    low, high = distances.min(), distances.max()
    if high - low <= max(_TOLERANCE, 0.01 * high) and low > _TOLERANCE:
        return
    text = (
        f"its {len(distances) + 1} slices are {low:g} to {high:g} mm apart: some are missing or "
        f"doubled"
    )
    raise _DoubledError(text) if low <= _TOLERANCE else ValueError(text)
