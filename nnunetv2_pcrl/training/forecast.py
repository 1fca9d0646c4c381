"""How long a training's steps take here, from its first ones."""

from statistics import median

# The first step warms up caches and compilers.
_SKIPPED, _TIMED = 1, 4


class Forecast:
    """Times the first steps of a run."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def after_step(self, now: float) -> float | None:
        """Seconds of a step, once enough of them have ended; None before.

        Args:
            now: in seconds.
        """
        self._ends.append(now)
        if len(self._ends) <= _SKIPPED + _TIMED:
            return None
        ends = self._ends[_SKIPPED:]
        return median(b - a for a, b in zip(ends, ends[1:], strict=False))
