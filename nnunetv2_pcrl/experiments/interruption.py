"""Ctrl-C and the signals of schedulers, noted so that a loop can obey them at its own time."""

import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Counts requests to stop, as a context manager.

    Signals that are ignored, as SIGHUP is under nohup, stay so.

    Attributes:
        count: requests so far.
        exit_status: what a shell reports for a process that the first of them ended.
    """

    def __init__(self):
        self.count = 0
        self.exit_status = 0
        self._previous = {}

    def __enter__(self) -> "Interruption":
        # Only the main thread may change handlers.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _) -> None:
        self.count += 1
        self.exit_status = self.exit_status or 128 + number
