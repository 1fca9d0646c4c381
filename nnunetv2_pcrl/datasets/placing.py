"""Puts files into a raw data set: by copy, by link or anew, never half."""

import os
import shutil
from pathlib import Path

import SimpleITK

from nnunetv2_pcrl.datasets.mhd import voxel_file
from nnunetv2_pcrl.weights.atomic import replaced_atomically


def place(source: Path, target: Path, link: bool) -> None:
    """Copies or links a file, unless this was done before.

    The two files of an MHD image go together.

    Raises:
        ValueError: if the target is another file than the source's.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".mhd":
        data = voxel_file(source)
        if data is not None:
            _place_one(data, target.with_name(data.name), link)
    _place_one(source, target, link)


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


def write_image(image: SimpleITK.Image, path: Path) -> None:
    """Writes an image in the format of the path's ending, compressed, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_atomically(path) as temporary:
        # SimpleITK goes by the ending, which the temporary file has not.
        named = path.with_name(f"{temporary.name}.{path.name}")
        try:
            SimpleITK.WriteImage(image, str(named), useCompression=True)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
