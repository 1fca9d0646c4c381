"""How often something may be done that costs time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pace:
    """Lets something happen so seldom that it takes no more than a share of the time.

    A picture of half a second and a share of 0.005 make at most one picture in 100 s, so pictures
    cost the same small part of a training whether its epochs take seconds or hours.
    """

    def __init__(
        self, share: float, expected_s: float, clock: Callable[[], float] = time.monotonic
    ):
        """Begins to count now.

        Args:
            share: of the time, in (0, 1).
            expected_s: seconds that the first time will take; later the last one counts.
            clock: gives seconds.
        """
        self._share = share
        self._duration_s = expected_s
        self._clock = clock
        self._last = clock()

    def is_due(self) -> bool:
        """True if enough time has passed since the last one."""
        return self._clock() - self._last >= self._duration_s / self._share

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measures the body."""
        begin = self._clock()
        try:
            yield
        finally:
            self._last = self._clock()
            self._duration_s = self._last - begin
