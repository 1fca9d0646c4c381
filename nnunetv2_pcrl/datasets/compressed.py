"""Compressed streams inside image files: whether they are whole, which some readers do not ask."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20
_GZIP_MARK = b"\x1f\x8b"
# Lets zlib tell the formats gzip and zlib by their first bytes.
_ANY_FORMAT = 47


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, whatever its name says."""
    with open(path, "rb") as file:
        return file.read(2) == _GZIP_MARK


def decompressed(file: BinaryIO) -> Iterator[bytes]:
    """The content of a compressed stream in pieces, checked against its checksums.

    Several gzip members follow one another as one stream. What comes behind the last one is no
    part of it, as for the usual readers.

    Args:
        file: at the beginning of the stream.

    Raises:
        ValueError: if the stream is truncated or damaged.
    """
    data = file.read(_CHUNK)
    while True:
        stream = zlib.decompressobj(_ANY_FORMAT)
        while not stream.eof:
            if not data:
                raise ValueError("the compressed file is truncated: its end is missing")
            try:
                piece = stream.decompress(data)
            except zlib.error as error:
                raise ValueError(f"the compressed file is damaged ({error})") from error
            data = file.read(_CHUNK) if not stream.eof else stream.unused_data
            if piece:
                yield piece
        data = data if len(data) > 1 else data + file.read(_CHUNK)
        if not data.startswith(_GZIP_MARK):
            return


def check_stream(path: Path, start: int = 0) -> int:
    """Reads a compressed stream to its end.

    Args:
        path: the file.
        start: where the stream begins, bytes.

    Returns:
        Size of its content, bytes.

    Raises:
        ValueError: if it is truncated or damaged.
    """
    with open(path, "rb") as file:
        file.seek(start)
        return sum(len(piece) for piece in decompressed(file))
