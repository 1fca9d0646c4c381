"""MHD and MHA images: a text header, and voxels that may be missing, cut off or damaged."""

import math
from pathlib import Path

from nnunetv2_pcrl.datasets.compressed import check_stream

_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
# No header is longer; the voxels of an MHA image follow it in the same file.
_LONGEST_HEADER = 1 << 16


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Fields of the header, and its length in bytes."""
    fields, length = {}, 0
    with open(path, "rb") as file:
        for line in file.read(_LONGEST_HEADER).splitlines(keepends=True):
            length += len(line)
            name, _, value = line.decode(errors="replace").partition("=")
            fields[name.strip()] = value.strip()
            if name.strip() == "ElementDataFile":
                break
    return fields, length


def voxel_file(path: Path) -> Path | None:
    """The file of the voxels that a header names; None if they are in the header's file.

    Raises:
        ValueError: if the header names none, or several files.
    """
    name = _fields(path)[0].get("ElementDataFile")
    if not name:
        raise ValueError("its header names no ElementDataFile")
    if name.upper().startswith("LIST") or "%" in name:
        raise ValueError("its voxels lie in many files, which is not supported")
    return None if name.upper() == "LOCAL" else path.parent / name


def check_voxel_file(path: Path) -> None:
    """Checks that the voxels are there, all of them if they are not compressed.

    Raises:
        ValueError: with the numbers of bytes.
    """
    voxels = voxel_file(path)
    if voxels is not None and not voxels.is_file():
        raise ValueError(f"its voxel file {voxels.name} is missing")
    fields, length = _fields(path)
    size, kind = fields.get("DimSize", ""), fields.get("ElementType")
    if _is_compressed(fields) or kind not in _BYTES:
        return
    try:
        announced = math.prod(int(n) for n in size.split()) * _BYTES[kind]
        announced *= int(fields.get("ElementNumberOfChannels", 1))
    except ValueError:
        raise ValueError(f"its header has the DimSize {size!r}") from None
    found = path.stat().st_size - length if voxels is None else voxels.stat().st_size
    if found < announced:
        name = "the file" if voxels is None else f"its voxel file {voxels.name}"
        raise ValueError(f"{name} is truncated: {found} of {announced} bytes are there")


def check_voxels(path: Path) -> None:
    """Reads compressed voxels to their end, which the usual reader does not check.

    Raises:
        ValueError: if they are truncated or damaged.
    """
    fields, length = _fields(path)
    if _is_compressed(fields):
        voxels = voxel_file(path)
        check_stream(path if voxels is None else voxels, length if voxels is None else 0)


def _is_compressed(fields: dict[str, str]) -> bool:
    return fields.get("CompressedData", "").lower() == "true"
