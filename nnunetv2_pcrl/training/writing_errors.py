"""Why a file could not be written, in words."""

import errno
import shutil
from pathlib import Path

# Below it, no checkpoint finds room: a disk counts as full.
LITTLE_ROOM_BYTES = 2**20
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota of the disk is used up"}
# Its writer of archives knows no other type than RuntimeError.
_SIGNS_OF_PYTORCH = ("PytorchStreamWriter", "inline_container", "Parent directory")
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def is_error_of_writing(error: Exception) -> bool:
    """Whether an error says that a file could not be written, for want of room or permission."""
    return isinstance(error, OSError) or any(sign in str(error) for sign in _SIGNS_OF_PYTORCH)


def why_not_written(error: Exception, folder: Path) -> str:
    """What a person can do something about; the first line of the error where nothing is known.

    Args:
        error: an error of writing, see `is_error_of_writing`.
        folder: where the file was to be.
    """
    number: int | None = getattr(error, "errno", None)
    if not folder.is_dir():
        return f"the folder {folder} is gone"
    free = shutil.disk_usage(folder).free
    # PyTorch's writer does not say why it failed.
    if number in _FULL or (number is None and free < LITTLE_ROOM_BYTES):
        what = _FULL.get(number or errno.ENOSPC, "the disk is full")
        return f"{what} ({free / 2**20:.0f} MiB are free): make room"
    if number in _FORBIDDEN:
        return f"writing into {folder} is not allowed: {error}"
    return str(error).split("\n")[0] or type(error).__name__
