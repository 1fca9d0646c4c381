"""Lines about an experiment in progress: what is done, and how long the rest may take."""

import time
from collections.abc import Mapping, Sequence

from nnunetv2_pcrl.monitoring.epoch_line import hours_and_minutes


class Progress:
    """Prints one line per event, each with the time and how much is done.

    Attributes:
        num_done: finished trainings.
    """

    def __init__(self, num_total: int, num_done: int, num_jobs: int):
        """Prints nothing yet.

        Args:
            num_total: trainings of the experiment.
            num_done: of these, finished before.
            num_jobs: trainings at a time.
        """
        self.num_done = num_done
        self._num_total = num_total
        self._num_jobs = num_jobs
        self._durations: dict[str, list[float]] = {}

    def tell(self, text: str) -> None:
        """Prints a line at once, also where standard output is a file."""
        clock = time.strftime("%Y-%m-%d %H:%M:%S")
        count = f"{self.num_done} of {self._num_total} done"
        print(f"{clock} [{count}] {text}", flush=True)

    def measured(self, trainer: str, seconds: float) -> None:
        """A whole training of this trainer, from the start to the end, took so long."""
        self._durations.setdefault(trainer, []).append(seconds)

    def time_left(self, waiting: Sequence[str], running: Sequence[tuple[str, float]]) -> str:
        """For a person; says so where nothing is left, or nothing was measured.

        Args:
            waiting: trainers of the trainings that have not started.
            running: trainer and seconds so far of those that have.
        """
        if not waiting and not running:
            return "nothing left"
        seconds = seconds_left(self._durations, waiting, running, self._num_jobs)
        if seconds is None:
            return "time left not known yet"
        return f"about {hours_and_minutes(seconds)} left"


def seconds_left(
    durations: Mapping[str, Sequence[float]],
    waiting: Sequence[str],
    running: Sequence[tuple[str, float]],
    num_jobs: int,
) -> float | None:
    """Expected seconds until all is done, each training as long as the mean of its trainer so far.

    A trainer that was not measured yet counts as the mean of all.

    Args:
        durations: measured seconds by trainer.
        waiting, running: see `Progress.time_left`.
        num_jobs: trainings at a time.

    Returns:
        None if nothing was measured.
    """
    measured = [seconds for values in durations.values() for seconds in values]
    if not measured:
        return None

    def expected(trainer: str) -> float:
        values = durations.get(trainer) or measured
        return sum(values) / len(values)

    left = [max(0.0, expected(trainer) - seconds) for trainer, seconds in running]
    left += [expected(trainer) for trainer in waiting]
    # No less than the longest one, which nothing can share.
    return max(sum(left) / num_jobs, max(left, default=0.0))
