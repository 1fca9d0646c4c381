"""Files that are either the old one or the new one, never half of either."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY_NAME = re.compile(r"\..+\.\d+\.tmp")


@contextmanager
def replaced_atomically(path: str | os.PathLike) -> Iterator[Path]:
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


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Removes the temporary files that killed processes left in a folder.

    Call it only where no other process writes into the folder.
    """
    for file in Path(folder).glob(".*.tmp"):
        if _TEMPORARY_NAME.fullmatch(file.name):
            file.unlink(missing_ok=True)
