"""Files that are either the old one or the new one, never half of either."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY_NAME = re.compile(r"\..+\.\d+\.tmp")


@contextmanager
def replaced_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path beside `path`, flushes what is written there and renames it.

    A kill or a full disk leaves the old file as it was. If the body raises, the temporary file is
    removed and the error goes on.

    Args:
        path: the file to write or replace; its folder must exist.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def check_can_be_made(path: str | os.PathLike[str]) -> None:
    """Refuses the path of a new file that would replace something or that has no folder.

    Raises:
        ValueError: naming what is there or what is not.
    """
    path = Path(path)
    if path.exists():
        raise ValueError(f"{path} exists and is not replaced; remove it or name another file")
    if not path.parent.is_dir():
        raise ValueError(
            f"there is no folder {path.parent} to write {path.name} into; make it first"
        )


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Removes the temporary files that killed processes left in a folder.

    Call it only where no other process writes into the folder.
    """
    for file in Path(folder).glob(".*.tmp"):
        if _TEMPORARY_NAME.fullmatch(file.name):
            file.unlink(missing_ok=True)
