"""Puts files into a raw data set: by copy, by link or anew, never half."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import SimpleITK

from nnunetv2_pcrl.datasets.mhd import voxel_file
from nnunetv2_pcrl.datasets.nifti import check_is_complete
from nnunetv2_pcrl.weights.atomic import replaced_atomically

# The description in a NIfTI header, of which SimpleITK writes 79 characters.
_NOTE, _DIGEST_LENGTH = "ITK_FileNotes", 40


def place(source: Path, target: Path, link: bool) -> None:
    """Copies or links a file, unless this was done before.

    The two files of an MHD image go together.

    Raises:
        ValueError: if the target is another file than the source's, or if an MHD image names
            voxels outside its folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix.lower() == ".mhd":
        data = voxel_file(source)
        if data is not None:
            if not can_move(source):
                raise ValueError(f"its voxel file {data} lies outside its folder")
            beside = target.parent / data.relative_to(source.parent)
            beside.parent.mkdir(parents=True, exist_ok=True)
            _place_one(data, beside, link)
    _place_one(source, target, link)


def can_move(source: Path) -> bool:
    """Whether an image can lie elsewhere: not if its header names a place outside its folder."""
    if source.suffix.lower() != ".mhd":
        return True
    data = voxel_file(source)
    return data is None or (data.is_relative_to(source.parent) and ".." not in data.parts)


def _place_one(source: Path, target: Path, link: bool) -> None:
    source = Path(os.path.abspath(source))
    is_link = target.is_symlink()
    is_copy = target.is_file() and not is_link and _looks_equal(source, target)
    if link:
        if is_link and Path(os.readlink(target)) == source:
            return
        if target.exists() and not is_copy:
            raise ValueError(f"{target} exists and is no link to {source}: remove one of them")
        target.unlink(missing_ok=True)
        target.symlink_to(source)
        return
    if is_copy:
        return
    if is_link:
        target.unlink()
    with replaced_atomically(target) as temporary:
        shutil.copy2(source, temporary)


def _looks_equal(source: Path, target: Path) -> bool:
    """By size and time of change, which a copy keeps."""
    wanted, found = source.stat(), target.stat()
    return (found.st_size, found.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns)


def write_once(path: Path, stamp: str, make: Callable[[], SimpleITK.Image]) -> None:
    """Writes an image unless the file is there and was written under the same stamp.

    Args:
        path: in a format that keeps notes, NIfTI.
        stamp: says what the image was made of; its digest is kept in the file.
        make: makes the image.
    """
    note = note_of_stamp(stamp)
    if path.is_file() and not path.is_symlink() and _note_of(path) == note:
        return
    image = make()
    image.SetMetaData(_NOTE, note)
    write_image(image, path)


def state_of(files: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """What a stamp says of the files that something is made of; it changes when one of them does.

    Returns:
        Path, size and time of change of each.
    """
    stats = [(str(file), os.stat(file)) for file in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def note_of_stamp(stamp: str) -> str:
    """What is written into a file to know later what it was made of."""
    return f"nnunetv2_pcrl {hashlib.sha256(stamp.encode()).hexdigest()[:_DIGEST_LENGTH]}"


def _note_of(path: Path) -> str:
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        # Damaged, or another file: it is written anew.
        return ""
    return reader.GetMetaData(_NOTE) if reader.HasMetaDataKey(_NOTE) else ""


def write_image(image: SimpleITK.Image, path: Path) -> None:
    """Writes an image in the format of the path's ending, compressed, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_atomically(path) as temporary:
        # SimpleITK goes by the ending, which the temporary file has not.
        named = path.with_name(f"{temporary.name}.{path.name}")
        try:
            SimpleITK.WriteImage(image, str(named), useCompression=True)
            _check_is_written(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def _check_is_written(path: Path) -> None:
    """The library that writes NIfTI says nothing of a full disk."""
    try:
        check_is_complete(path)
    except ValueError as error:
        raise ValueError(f"it could not be written wholly ({error}): make space") from error
