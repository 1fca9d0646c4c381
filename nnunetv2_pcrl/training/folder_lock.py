"""One training per result folder: a lock that says which process on which host holds it."""

from contextlib import suppress
from pathlib import Path

from filelock import SoftFileLock, Timeout

LOCK_NAME = "training.lock"


class ProcessLock:
    """A file that is there while a process holds it.

    It says which process on which host that is. That of a dead process of this host is taken over;
    that of another host cannot be judged and has to be removed by a person.
    """

    def __init__(self, path: Path):
        """Takes nothing yet; the folder of `path` must exist when it does."""
        self.path = path
        self._lock = SoftFileLock(path, thread_local=False)

    def acquire(self) -> bool:
        """Tries to take it, without waiting; whether it is held now."""
        # The first attempt may do no more than remove the file of a dead process.
        for _ in range(2):
            with suppress(Timeout):
                self._lock.acquire(blocking=False)
                return True
        return False

    def release(self) -> None:
        """Gives it back; also where somebody has removed the file."""
        self._lock.release()

    def holder(self) -> str | None:
        """Who holds it, and what to do if that is not true any more; None if nobody says so."""
        try:
            pid, host = self.path.read_text(encoding="utf-8").split("\n")[:2]
        except (OSError, ValueError):
            return None
        return f"process {pid} on {host} (if it is gone, remove {self.path})"


def take_folder(folder: Path) -> ProcessLock:
    """The lock of a result folder, held.

    Raises:
        ValueError: if another process holds it, naming that one.
    """
    lock = ProcessLock(folder / LOCK_NAME)
    if not lock.acquire():
        raise ValueError(
            f"{lock.holder() or 'another process'} trains into {folder}: wait for it, or end it "
            f"and go on with --c"
        )
    return lock
