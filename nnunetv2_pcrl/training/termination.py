"""Ctrl-C and the signals of schedulers: noted, and obeyed between two steps."""

import signal
import threading
import time

# SIGTERM comes from schedulers before they kill, SIGHUP when a terminal is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# torchrun hands on a Ctrl-C that the terminal has sent to its processes already.
_ONE_KEY_PRESS_S = 2.0


class TerminationNotice:
    """Notes requests to stop while it is switched on.

    A second Ctrl-C is not noted: it interrupts at once. Signals that are ignored, as SIGHUP is
    under nohup, stay so.

    Attributes:
        received: the first signal that came, or None.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._received_at = 0.0
        self._previous = {}

    def switch_on(self) -> None:
        """From now on signals are noted. Only the main thread may change handlers."""
        if threading.current_thread() is not threading.main_thread() or self._previous:
            return
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._note)

    def switch_off(self) -> None:
        """Signals do again what they did before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    @property
    def exit_status(self) -> int:
        """What a shell reports for a process that the signal ended; SIGTERM where none came."""
        return 128 + (self.received or signal.SIGTERM)

    def _note(self, number: int, _) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._received_at = signal.Signals(number), now
        elif number == signal.SIGINT and now - self._received_at > _ONE_KEY_PRESS_S:
            raise KeyboardInterrupt
