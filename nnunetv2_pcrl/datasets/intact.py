"""Damage inside image files that their readers pass over, found by the files' own checksums."""

from pathlib import Path

from nnunetv2_pcrl.datasets.compressed import check_stream, is_gzip
from nnunetv2_pcrl.datasets.mhd import check_voxels
from nnunetv2_pcrl.datasets.nifti import check_is_complete, is_nifti

_LONGEST_HEADER = 1 << 16


def check_is_intact(path: str | Path) -> None:
    """Reads the compressed part of an image to its end; a flipped bit is found there.

    Images that are not compressed have no checksum and pass; so do formats whose readers check.

    Raises:
        ValueError: if the image is truncated or damaged.
    """
    path = Path(path)
    check_is_complete(path)
    suffix = path.suffix.lower()
    if is_nifti(path) and is_gzip(path):
        check_stream(path)
    elif suffix in (".mha", ".mhd"):
        check_voxels(path)
    elif suffix == ".nrrd":
        _check_nrrd(path)


def _check_nrrd(path: Path) -> None:
    with open(path, "rb") as file:
        start = file.read(_LONGEST_HEADER)
    header, separator, _ = start.partition(b"\n\n")
    lines = [line.strip().lower() for line in header.splitlines()]
    encoding = next((line for line in lines if line.startswith(b"encoding:")), b"")
    if separator and encoding.endswith((b"gzip", b"gz")) and b"data file" not in header:
        check_stream(path, len(header) + len(separator))
