"""Turns a folder tree of images into a raw data set without labels, by reference or by link."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from nnunetv2_pcrl.datasets.dicom import Series, check_slices, find_series, is_dicom, write_series
from nnunetv2_pcrl.datasets.headers import Header, read_header
from nnunetv2_pcrl.datasets.parallel import listed
from nnunetv2_pcrl.datasets.placing import place
from nnunetv2_pcrl.datasets.raw import (
    DATASET_JSON,
    ITK_READER,
    MANIFEST,
    NATURAL_READER,
    ManifestRow,
    check_may_write,
    unlabelled_json,
    write_json,
    write_manifest,
)

ITK_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
MAKER = "nnUNetv2_pcrl_from_folder"
NATURAL_ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Found:
    """An image that may become a case.

    Attributes:
        identifier: made from its path.
        files: one per channel, or one with all channels.
        series: of a DICOM image, which has no file of its own.
        reader: nnU-Net's class that reads it.
        num_axes: 2 or 3.
    """

    identifier: str
    files: tuple[Path, ...]
    series: Series | None
    reader: str
    num_axes: int

    @property
    def source(self) -> str:
        """Where it comes from, for the manifest."""
        return str(self.files[0] if self.series is None else Path(self.series.files[0]).parent)

    @property
    def note(self) -> str:
        """Which of the series in its folder it is, for the manifest; empty for a file."""
        return f"DICOM series {self.series.uid}" if self.series else ""


def build_from_folder(
    images: Path, target: Path, channels: Sequence[str], link: bool
) -> dict[str, str]:
    """Writes dataset.json and manifest.csv for all images below a folder.

    DICOM series are written as NIfTI images; other files stay where they are.

    Args:
        images: folder that is searched.
        target: folder of the raw data set.
        channels: names of the channels. With several, files CASE_0000, CASE_0001, ... make a case.
        link: put links into imagesTr instead of paths into dataset.json.

    Returns:
        Reasons of files that are left out.

    Raises:
        ValueError: if there are no usable images, if 2D photographs are mixed with volumes, or if
            the target is somebody else's.
    """
    check_may_write(target, MAKER)
    found, failed = _find(images, target, len(channels))
    _check_one_reader(found, images)
    kept, odd = _of_most_axes(found)
    failed |= odd
    if not kept:
        raise ValueError(f"There are no usable images in {images}.{listed(failed)}")
    target.mkdir(parents=True, exist_ok=True)
    cases, rows = {}, []
    for image in tqdm(kept, desc="Images"):
        try:
            cases[image.identifier] = _bring(image, target, link)
            rows.append(ManifestRow(image.identifier, image.source, image.note))
        except (ValueError, RuntimeError) as error:
            failed[image.source] = " ".join(str(error).split())
    ending = ".png" if kept[0].reader == NATURAL_READER else ".nii.gz"
    content = unlabelled_json(channels, ending, kept[0].reader, cases, MAKER)
    write_json(target / DATASET_JSON, content)
    rows += [ManifestRow("", source, reason) for source, reason in failed.items()]
    write_manifest(target, rows)
    return failed


def _find(images: Path, target: Path, num_channels: int) -> tuple[list[Found], dict[str, str]]:
    """All images below a folder, in the order of their paths, and why others cannot be used."""
    found, failed, taken = [], {}, set()
    for candidate in tqdm(list(_candidates(images, target, num_channels)), desc="Headers"):
        try:
            if isinstance(candidate, Series):
                check_slices(candidate)
                num_axes = _axes_of_series(candidate, num_channels)
                path, files, series, reader = Path(candidate.files[0]).parent, (), candidate, None
            else:
                path, files, series = candidate[0], tuple(candidate), None
                num_axes = _check_channels([read_header(file) for file in files], num_channels)
                reader = NATURAL_READER if _ending(path).lower() in NATURAL_ENDINGS else None
                if reader and num_axes > 2:
                    raise ValueError(f"it is a stack of {num_axes} axes; convert it to NIfTI")
        except (ValueError, RuntimeError) as error:
            source = candidate.files[0] if isinstance(candidate, Series) else candidate[0]
            failed[str(source)] = " ".join(str(error).split())
            continue
        identifier = _identifier(path, images, taken, num_channels > 1 and len(files) > 1)
        found.append(Found(identifier, files, series, reader or ITK_READER, num_axes))
    return found, failed


def _candidates(images: Path, target: Path, num_channels: int) -> Iterator[list[Path] | Series]:
    """Files of a case, or a series, folder by folder. Links to folders are followed once.

    What an earlier run wrote into the target, which may lie below the images, does not count.
    """
    seen = {os.path.realpath(target)} - {os.path.realpath(images)}
    for root, folders, names in os.walk(images, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        files = [Path(root) / name for name in sorted(names) if not name.startswith(".")]
        images_here = [file for file in files if _ending(file)]
        yield from _grouped(images_here, num_channels)
        others = [file for file in files if not _ending(file) and file.name != MANIFEST]
        if any(is_dicom(file) for file in others):
            yield from find_series(Path(root))


def _grouped(files: list[Path], num_channels: int) -> Iterator[list[Path]]:
    """Files CASE_0000, CASE_0001, ... of a case together, if cases have several channels."""
    groups: dict[str, list[Path]] = {}
    for file in files:
        stem = file.name.removesuffix(_ending(file))
        key = re.sub(r"_\d{4}$", "", stem) if num_channels > 1 else file.name
        groups.setdefault(key, []).append(file)
    yield from groups.values()


def _ending(path: Path) -> str:
    """The image ending of a file name, empty if it has none."""
    name = path.name.lower()
    matching = (e for e in ITK_ENDINGS + NATURAL_ENDINGS if name.endswith(e))
    return path.name[-len(ending) :] if (ending := next(matching, "")) else ""


def _check_channels(headers: list[Header], num_channels: int) -> int:
    """Number of axes of a case.

    Raises:
        ValueError: if files and components do not make the wanted channels, or files differ.
    """
    components = sum(header.num_components for header in headers)
    if components != num_channels:
        raise ValueError(f"it has {components} channels, {num_channels} are wanted (--channels)")
    sizes = {header.size for header in headers}
    if len(sizes) > 1:
        raise ValueError(f"its channels have the sizes {', '.join(map(str, sorted(sizes)))}")
    if headers[0].num_axes > 3:
        raise ValueError(f"it has {headers[0].num_axes} axes, size {headers[0].size}")
    return headers[0].num_axes


def _axes_of_series(series: Series, num_channels: int) -> int:
    """Number of axes of a series, by its first file; a file may hold a whole volume.

    Raises:
        ValueError: if it has other channels, or if several files hold a volume each.
    """
    axes_of_file = _check_channels([read_header(Path(series.files[0]))], num_channels)
    if axes_of_file > 2 and len(series.files) > 1:
        raise ValueError(f"each of its {len(series.files)} files holds a volume")
    return 3 if len(series.files) > 1 else axes_of_file


def _identifier(path: Path, root: Path, taken: set[str], is_group: bool) -> str:
    """A name made from the path below the root, unique among those taken."""
    relative = path.relative_to(root)
    stem = str(relative).removesuffix(_ending(path)) if path != root else root.name
    if is_group:
        stem = re.sub(r"_\d{4}$", "", stem)
    base = re.sub(r"[^A-Za-z0-9-]+", "_", stem).strip("_") or "case"
    identifier, number = base, 1
    while identifier in taken:
        number += 1
        identifier = f"{base}_{number}"
    taken.add(identifier)
    return identifier


def _check_one_reader(found: list[Found], images: Path) -> None:
    counts = Counter(image.reader for image in found)
    if len(counts) > 1:
        raise ValueError(
            f"{images} holds {counts[NATURAL_READER]} PNG, TIFF or JPEG and {counts[ITK_READER]} "
            f"other images. nnU-Net reads a data set in one way: make two data sets."
        )


def _of_most_axes(found: list[Found]) -> tuple[list[Found], dict[str, str]]:
    """The 2D or the 3D images, whichever are more, and why the others are left out."""
    counts = Counter(image.num_axes for image in found)
    most = max(counts, key=counts.__getitem__, default=0)
    odd = {
        image.source: f"it is {image.num_axes}D, and most images are {most}D"
        for image in found
        if image.num_axes != most
    }
    return [image for image in found if image.num_axes == most], odd


def _bring(image: Found, target: Path, link: bool) -> list[str]:
    """Paths of a case for dataset.json."""
    if image.series is not None:
        name = f"imagesTr/{image.identifier}_0000.nii.gz"
        write_series(image.series, target / name)
        return [name]
    if not link:
        return [os.path.abspath(file) for file in image.files]
    names = []
    for channel, file in enumerate(image.files):
        names.append(f"imagesTr/{image.identifier}_{channel:04d}{_ending(file)}")
        place(file, target / names[-1], link=True)
    return names
