"""MHD images: a text header that names a file of voxels, which may be missing or cut off."""

import math
from pathlib import Path

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


def _fields(path: Path) -> dict[str, str]:
    fields = {}
    for line in path.read_bytes().decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
            break
    return fields


def voxel_file(path: Path) -> Path | None:
    """The file of the voxels that a header names; None if they are in the header's file.

    Raises:
        ValueError: if the header names none, or several files.
    """
    name = _fields(path).get("ElementDataFile")
    if not name:
        raise ValueError("its header names no ElementDataFile")
    if name.upper().startswith("LIST") or "%" in name:
        raise ValueError("its voxels lie in many files, which is not supported")
    return None if name.upper() == "LOCAL" else path.with_name(name)


def check_voxel_file(path: Path) -> None:
    """Checks that the voxels are there, all of them if they are not compressed.

    Raises:
        ValueError: with the numbers of bytes.
    """
    voxels = voxel_file(path)
    if voxels is None:
        return
    if not voxels.is_file():
        raise ValueError(f"its voxel file {voxels.name} is missing")
    fields = _fields(path)
    size, kind = fields.get("DimSize", ""), fields.get("ElementType")
    if fields.get("CompressedData", "").lower() == "true" or kind not in _BYTES:
        return
    announced = math.prod(int(n) for n in size.split()) * _BYTES[kind]
    announced *= int(fields.get("ElementNumberOfChannels", 1))
    if voxels.stat().st_size < announced:
        raise ValueError(
            f"its voxel file {voxels.name} is truncated: {voxels.stat().st_size} of {announced} "
            f"bytes are there"
        )
