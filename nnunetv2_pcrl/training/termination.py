"""SIGTERM, as schedulers send it before they kill: noted, and obeyed between two steps."""

import signal
import threading

# What a shell reports for a process that SIGTERM ended.
EXIT_STATUS = 128 + signal.SIGTERM


class TerminationNotice:
    """Notes SIGTERM while it is switched on.

    Attributes:
        received: whether the signal came.
    """

    def __init__(self):
        self.received = False
        self._previous = None

    def switch_on(self) -> None:
        """From now on SIGTERM is noted. Only the main thread may change handlers: others do not."""
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._note)

    def switch_off(self) -> None:
        """SIGTERM does again what it did before."""
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
            self._previous = None

    def _note(self, *_) -> None:
        self.received = True
