"""Archives of a download, unpacked beside themselves: wholly or not at all."""

import gzip
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from nnunetv2_pcrl.datasets.raw import DATASET_JSON

# What a Mac adds to archives.
_HIDDEN = ("__MACOSX", "._", ".DS_Store")


def unpacked(source: Path) -> Path:
    """The only folder of an archive, which is unpacked beside it unless this was done before.

    The archive may have any name; what is in it is asked before anything is written.

    Args:
        source: a tar file, compressed or not.

    Raises:
        ValueError: if the archive is damaged, would write elsewhere, or is no data set.
    """
    with _one_sentence(source), tarfile.open(source) as archive:
        top = _top_folder(archive, source)
    folder = source.parent / top
    if folder.is_dir():
        return folder
    partial = source.with_name(f".{source.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with _one_sentence(source), tarfile.open(source) as archive:
            # The first releases of Python 3.10 and 3.11 have no filters.
            if hasattr(tarfile, "data_filter"):
                archive.extractall(partial, filter="data")
            else:
                archive.extractall(partial)
        (partial / top).replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


@contextmanager
def _one_sentence(source: Path) -> Iterator[None]:
    damages = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
    try:
        yield
    except damages as error:
        raise ValueError(
            f"{source} is truncated or damaged ({error}): download it again."
        ) from error


def _top_folder(archive: tarfile.TarFile, source: Path) -> str:
    tops, has_description = set(), False
    for member in archive:
        path = PurePosixPath(member.name)
        is_inside = not path.is_absolute() and ".." not in path.parts
        if not (is_inside and (member.isfile() or member.isdir())):
            raise ValueError(
                f"{source} holds {member.name}, which is no file or folder within it. The archives "
                f"of the decathlon hold nothing of the kind: download it again."
            )
        if path.parts and not path.parts[0].startswith(_HIDDEN):
            tops.add(path.parts[0])
            has_description = has_description or path.parts[1:] == (DATASET_JSON,)
    _check_end(archive)
    if len(tops) != 1 or not has_description:
        found = ", ".join(sorted(tops)[:5]) or "nothing"
        raise ValueError(
            f"{source} holds {found}, and not one folder TaskNN_Name with {DATASET_JSON}: unpack "
            f"it, and name the folder of the task."
        )
    return tops.pop()


def _check_end(archive: tarfile.TarFile) -> None:
    """Finds an archive that was cut off between files, which Python takes for its end."""
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("its end is missing")
