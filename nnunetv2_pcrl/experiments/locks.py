"""Locks that keep two experiments, on one machine or several, from running the same training."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from filelock import SoftFileLock, Timeout

from nnunetv2_pcrl.experiments.runs import TrainingRun

LOCK_FOLDER = "experiment_locks"


class RunLock:
    """The right to run one training.

    The lock file says which process on which host holds it. One of a dead process of this host is
    taken over; that of another host cannot be judged and has to be removed by a person. The
    training itself keeps a second file locked, because it may outlive a killed experiment.

    Attributes:
        descriptor: of the second file, to be inherited by the training; None while not held.
    """

    def __init__(self, run: TrainingRun, dataset_results: Path):
        """Takes nothing yet.

        Args:
            run: the training.
            dataset_results: the data set's folder in nnUNet_results.
        """
        folder = run.folder(dataset_results)
        name = f"{folder.parent.name}__{folder.name}"
        self._path = dataset_results / LOCK_FOLDER / f"{name}.lock"
        self._training_path = self._path.with_suffix(".training")
        self._lock = SoftFileLock(self._path, thread_local=False)
        self.descriptor: int | None = None

    def acquire(self) -> bool:
        """Tries to take it, without waiting; whether it is held now."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._acquire_file():
            return False
        descriptor = os.open(self._training_path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            self._lock.release()
            return False
        self.descriptor = descriptor
        return True

    def _acquire_file(self) -> bool:
        # The first attempt may do no more than remove the file of a dead process.
        for _ in range(2):
            with suppress(Timeout):
                self._lock.acquire(blocking=False)
                return True
        return False

    def release(self) -> None:
        """Gives it back, once the training has ended."""
        os.close(self.descriptor)
        self.descriptor = None
        self._training_path.unlink(missing_ok=True)
        self._lock.release()

    def is_held_elsewhere(self) -> bool:
        """Whether another experiment runs the training, or a training that outlived one."""
        if not self._path.exists() and not self._training_path.exists():
            return False
        if not self.acquire():
            return True
        self.release()
        return False

    def holder(self) -> str:
        """Who holds it, and what to do if that is not true any more."""
        try:
            pid, host = self._path.read_text(encoding="utf-8").split("\n")[:2]
        except (OSError, ValueError):
            return "a training that its experiment left behind"
        return f"process {pid} on {host} (if it is gone, remove {self._path})"
