"""Finds truncated NIfTI files, which the usual readers fill up with zeros without an error."""

import gzip
import math
import struct
import zlib
from pathlib import Path

_HEADER_SIZE = 348
_CHUNK = 1 << 20


def check_is_complete(path: str | Path) -> None:
    """Compares the size of a NIfTI-1 file with what its header announces.

    A complete compressed file is judged by its last four bytes, without decompressing it. Files of
    other formats, and NIfTI-2, pass.

    Raises:
        ValueError: if voxels are missing or the compressed stream is damaged.
    """
    path = Path(path)
    is_compressed = path.name.endswith(".nii.gz")
    if not is_compressed and path.suffix != ".nii":
        return
    try:
        with gzip.open(path) if is_compressed else open(path, "rb") as file:
            header = file.read(_HEADER_SIZE)
        if len(header) < _HEADER_SIZE:
            raise ValueError(f"the file ends within its header ({path.stat().st_size} bytes)")
        announced = _announced_size(header)
        size = _size_by_trailer(path) if is_compressed else path.stat().st_size
        if is_compressed and size != announced % 2**32:
            size = _decompressed_size(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"the compressed file is truncated or damaged ({error})") from error
    if size != announced % 2**32 and size < announced:
        raise ValueError(f"the file is truncated: {size} of {announced} bytes are there")


def _announced_size(header: bytes) -> int:
    """Bytes of header and voxels by the header's dim, bitpix and vox_offset; 0 if not NIfTI-1."""
    for order in "<>":
        if struct.unpack_from(f"{order}i", header)[0] == _HEADER_SIZE:
            dim = struct.unpack_from(f"{order}8h", header, 40)
            (bits,) = struct.unpack_from(f"{order}h", header, 72)
            (offset,) = struct.unpack_from(f"{order}f", header, 108)
            return int(offset) + math.prod(dim[1 : 1 + dim[0]]) * bits // 8
    return 0


def _size_by_trailer(path: Path) -> int:
    """Size modulo 2^32 by the last four bytes of a gzip file."""
    with open(path, "rb") as file:
        file.seek(-4, 2)
        return struct.unpack("<I", file.read(4))[0]


def _decompressed_size(path: Path) -> int:
    """Size by reading it all, which also finds damage."""
    size = 0
    with gzip.open(path) as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
    return size
