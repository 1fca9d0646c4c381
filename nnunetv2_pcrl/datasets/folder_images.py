"""Images of a case in a raw data set: a path, a link, or a file that is made of them."""

import os
import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import SimpleITK

from nnunetv2_pcrl.datasets.channel_groups import geometry_reason
from nnunetv2_pcrl.datasets.dicom_series import Series
from nnunetv2_pcrl.datasets.dicom_voxels import read_series
from nnunetv2_pcrl.datasets.folder_cases import Case, FolderRequest
from nnunetv2_pcrl.datasets.image_files import ending_of, under_a_lower_case_ending
from nnunetv2_pcrl.datasets.orientation import orientation_of, oriented
from nnunetv2_pcrl.datasets.photographs import (
    note_in_photograph,
    num_colours,
    read_photograph,
    with_colours,
    write_photograph,
)
from nnunetv2_pcrl.datasets.placing import can_move, note_of_stamp, place, state_of, write_once
from nnunetv2_pcrl.datasets.raw import NATURAL_READER
from nnunetv2_pcrl.datasets.survey import Source


def bring(case: Case, target: Path, request: FolderRequest, remarks: dict[str, str]) -> list[str]:
    """Brings the images of a case into a raw data set.

    Args:
        case: its images.
        target: folder of the raw data set.
        request: what is to be made of them.
        remarks: gets what was done, by the names of the images.

    Returns:
        Paths for dataset.json, one per channel, or one of a file that holds all of them.

    Raises:
        ValueError, RuntimeError, OSError: if an image cannot be read.
    """
    paths: list[str] = []
    for source in case.sources:
        bring_one = _bring_photograph if source.reader == NATURAL_READER else _bring_volume
        found, done = bring_one(case, source, len(paths), target, request)
        paths += found
        if done:
            remarks[source.name] = "; ".join(done)
    return paths


def remove_stale(target: Path, known: Collection[str], paths: Mapping[str, list[str]]) -> None:
    """Removes what this or an earlier run wrote or linked and dataset.json does not name.

    Args:
        target: folder of the raw data set.
        known: names of cases of this and of the earlier run; images of others stay.
        paths: of the cases in dataset.json.
    """
    images = target / "imagesTr"
    named = {Path(path).parts[1] for found in paths.values() for path in found if _is_ours(path)}
    for path in images.iterdir() if images.is_dir() else ():
        match = re.fullmatch(r"(.+)_\d{4}(\..*)?", path.name)
        if match and match[1] in known and path.name not in named:
            _unlink(path)


def _is_ours(path: str) -> bool:
    return path.startswith("imagesTr/")


def _unlink(path: Path) -> None:
    """Removes a file or link, or the folder of an MHD image's links."""
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            _unlink(inner)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _bring_photograph(
    case: Case, source: Source, channel: int, target: Path, request: FolderRequest
) -> tuple[list[str], list[str]]:
    wanted = len(request.channels) if len(case.sources) == 1 else 1
    if num_colours(source.header) == source.header.num_components == wanted:
        return [_bring_file(case, source, channel, target, request)], []
    name = f"imagesTr/{case.identifier}_{channel:04d}.png"
    written, note = target / name, note_of_stamp(str((_stamp(source), wanted)))
    if written.is_symlink() or note_in_photograph(written) != note:
        _unlink(written)
        write_photograph(with_colours(read_photograph(source.path), wanted), written, note)
    return [name], ["made grey" if wanted == 1 else f"stored with {wanted} colours"]


def _bring_volume(
    case: Case, source: Source, channel: int, target: Path, request: FolderRequest
) -> tuple[list[str], list[str]]:
    """A file as it is, or what is made of a file or a series: one image per component."""
    first = case.sources[0]
    code = orientation_of(first.header)
    turns = bool(request.orientation and code and code != request.orientation)
    is_resampled = source is not first and bool(geometry_reason((first, source)))
    grid = first if request.resample and is_resampled else None
    done = [] if source.series is None else _remarks_of(source.series)
    if grid is not None:
        done.append(f"resampled onto the grid of {request.channels[0]}")
    if turns:
        done.append(f"turned from {code} to {request.orientation}")
    components = source.header.num_components
    if source.series is None and components == 1 and not turns and grid is None:
        return [_bring_file(case, source, channel, target, request)], done
    wanted = len(request.channels) if len(case.sources) == 1 else 1
    orientation = request.orientation if turns else ""
    names = []
    for component in range(min(components, wanted)):
        names.append(f"imagesTr/{case.identifier}_{channel + component:04d}.nii.gz")
        stamp = (_stamp(source), grid and _stamp(grid), orientation, component, wanted)
        _unlink_links(target / names[-1])
        write_once(
            target / names[-1],
            str(stamp),
            partial(_made, source, component, wanted, grid, orientation),
        )
    return names, done


def _made(
    source: Source, component: int, wanted: int, grid: Source | None, orientation: str
) -> SimpleITK.Image:
    image = _component(_read(source), component, wanted)
    if grid is not None:
        # What lies outside gets what most images have there, their lowest value.
        lowest = float(SimpleITK.GetArrayViewFromImage(image).min())
        image = SimpleITK.Resample(
            image,
            _component(_read(grid), 0, 1),
            SimpleITK.Transform(),
            SimpleITK.sitkLinear,
            lowest,
        )
    return oriented(image, orientation) if orientation else image


def _remarks_of(series: Series) -> list[str]:
    remarks = []
    if series.is_tilted:
        remarks.append(f"gantry tilt of {series.tilt_degrees:.1f} degrees, straightened")
    if series.first.spacing is None:
        remarks.append("the files say no distance between pixels, 1 mm is taken")
    if series.first.is_inverted:
        remarks.append("stored with low values bright (MONOCHROME1)")
    if series.copies:
        remarks.append(f"{series.copies} files are copies of others")
    return remarks


def _read(source: Source) -> SimpleITK.Image:
    if source.series is not None:
        return read_series(source.series)
    with under_a_lower_case_ending(source.path) as readable:
        return SimpleITK.ReadImage(str(readable))


def _component(image: SimpleITK.Image, component: int, wanted: int) -> SimpleITK.Image:
    """One component of an image.

    Raises:
        ValueError: if it has colours and one is wanted.
    """
    if image.GetNumberOfComponentsPerPixel() == 1:
        return image
    if wanted == 1:
        array = SimpleITK.GetArrayViewFromImage(image)
        if (array != array[..., :1]).any():
            raise ValueError("it is a colour image; take its colours by --channels R G B")
    return SimpleITK.VectorIndexSelectionCast(image, component)


def _stamp(source: Source) -> tuple:
    """What an image is made of; it changes when a file does."""
    if source.series is None:
        return state_of([source.path])
    return state_of(header.path for header in source.series.headers)


def _bring_file(
    case: Case, source: Source, channel: int, target: Path, request: FolderRequest
) -> str:
    """A path of a file that needs no change; of a link if readers need another name."""
    ending = ending_of(source.path)
    if ending == ending.lower() and not (request.link and can_move(source.path)):
        return os.path.abspath(source.path)
    name = f"{case.identifier}_{channel:04d}"
    relative = f"imagesTr/{name}{ending.lower()}"
    if ending.lower() == ".mhd":
        # The voxels keep their own name, which other images have too.
        relative = f"imagesTr/{name}/{name}.mhd"
        _unlink(target / "imagesTr" / name)
    _unlink_links(target / relative)
    place(source.path, target / relative, link=True)
    return relative


def _unlink_links(path: Path) -> None:
    """A link of an earlier run may lead to another image, and is not written through."""
    if path.is_symlink():
        path.unlink()
