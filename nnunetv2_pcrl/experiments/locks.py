"""Locks that keep two experiments, on one machine or several, from running the same training."""

import fcntl
import os
from pathlib import Path

from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.training.folder_lock import ProcessLock

LOCK_FOLDER = "experiment_locks"


class RunLock:
    """The right to run one training.

    A `ProcessLock`, and a second file that the training itself keeps locked, because it may outlive
    a killed experiment.

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
        self._lock = ProcessLock(dataset_results / LOCK_FOLDER / f"{name}.lock")
        self._training_path = self._lock.path.with_suffix(".training")
        self.descriptor: int | None = None

    def acquire(self) -> bool:
        """Tries to take it, without waiting; whether it is held now."""
        self._lock.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.acquire():
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

    def release(self) -> None:
        """Gives it back, once the training has ended."""
        os.close(self.descriptor)
        self.descriptor = None
        self._training_path.unlink(missing_ok=True)
        self._lock.release()

    def is_held_elsewhere(self) -> bool:
        """Whether another experiment runs the training, or a training that outlived one."""
        if not self._lock.path.exists() and not self._training_path.exists():
            return False
        if not self.acquire():
            return True
        self.release()
        return False

    def holder(self) -> str:
        """Who holds it, and what to do if that is not true any more."""
        return self._lock.holder() or "a training that its experiment left behind"
