"""Locks that end with the processes that hold them, however these end."""

import fcntl
import os
from pathlib import Path


def try_lock(path: Path) -> int | None:
    """Takes a lock without waiting.

    Args:
        path: a file to keep locked, made if it is not there; its folder must exist.

    Returns:
        A descriptor: the lock is held until this process, and every process that inherits the
        descriptor, has closed it or has ended. None if another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
