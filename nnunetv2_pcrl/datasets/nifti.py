"""Finds truncated NIfTI files, which the usual readers fill up with zeros without an error."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.compressed import check_stream, decompressed, is_gzip

_HEADER_SIZE = 348
_CHUNK = 1 << 20
# NumPy's names of the scalar data types of the standard.
_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}


@dataclass(frozen=True)
class _Layout:
    """Where the voxels lie: offset and size in bytes, and their type (None if it is no scalar)."""

    offset: int
    size: int
    dtype: np.dtype | None


def is_nifti(path: Path) -> bool:
    """Whether the name of a file is that of a NIfTI image."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def check_is_complete(path: str | Path) -> None:
    """Compares the size of a NIfTI-1 file with what its header announces.

    A complete compressed file is judged by its last four bytes, without decompressing it. What
    counts is whether the content is compressed, not the name. Files of other formats, and NIfTI-2,
    pass.

    Raises:
        ValueError: if voxels are missing or the compressed stream is damaged.
    """
    path = Path(path)
    if not is_nifti(path):
        return
    if not is_gzip(path):
        with open(path, "rb") as file:
            layout = _layout(file.read(_HEADER_SIZE), path)
        size = path.stat().st_size
    else:
        with open(path, "rb") as file:
            layout = _layout(_beginning(decompressed(file)), path)
        size = _size_by_trailer(path)
        if size != (layout.offset + layout.size) % 2**32:
            size = check_stream(path)
        else:
            return
    if size < layout.offset + layout.size:
        announced = layout.offset + layout.size
        raise ValueError(f"the file is truncated: {size} of {announced} bytes are there")


def voxel_pieces(path: Path) -> Iterator[np.ndarray]:
    """Voxels of a NIfTI-1 image with scalar values, piece by piece, in the order of the file.

    Values are as stored, without slope and intercept. Yields nothing for other data types.

    Raises:
        ValueError: if the compressed stream is damaged before the caller stops.
    """
    with open(path, "rb") as file:
        pieces = decompressed(file) if is_gzip(path) else iter(lambda: file.read(_CHUNK), b"")
        data = _beginning(pieces)
        layout = _layout(data, path)
        if layout.dtype is None:
            return
        skip, rest = layout.offset, b""
        while data:
            dropped = min(skip, len(data))
            skip, data = skip - dropped, rest + data[dropped:]
            whole = len(data) - len(data) % layout.dtype.itemsize
            if whole:
                yield np.frombuffer(data[:whole], layout.dtype)
            rest, data = data[whole:], next(pieces, b"")


def _beginning(pieces: Iterator[bytes]) -> bytes:
    """The first pieces of a stream: at least a header, if there is so much."""
    data = b""
    while len(data) < _HEADER_SIZE:
        piece = next(pieces, b"")
        if not piece:
            break
        data += piece
    return data


def _layout(header: bytes, path: Path) -> _Layout:
    """Reads dim, datatype, bitpix and vox_offset; everything is 0 if the file is not NIfTI-1."""
    if len(header) < _HEADER_SIZE:
        raise ValueError(f"the file ends within its header ({path.stat().st_size} bytes)")
    for order in "<>":
        if struct.unpack_from(f"{order}i", header)[0] == _HEADER_SIZE:
            dim = struct.unpack_from(f"{order}8h", header, 40)
            code, bits = struct.unpack_from(f"{order}2h", header, 70)
            (offset,) = struct.unpack_from(f"{order}f", header, 108)
            size = math.prod(dim[1 : 1 + max(0, min(dim[0], 7))]) * bits // 8
            dtype = np.dtype(order + _TYPES[code]) if code in _TYPES else None
            return _Layout(int(offset) if math.isfinite(offset) else 0, max(size, 0), dtype)
    return _Layout(0, 0, None)


def _size_by_trailer(path: Path) -> int:
    """Size modulo 2^32 by the last four bytes of a gzip file."""
    with open(path, "rb") as file:
        file.seek(-4, 2)
        return struct.unpack("<I", file.read(4))[0]
