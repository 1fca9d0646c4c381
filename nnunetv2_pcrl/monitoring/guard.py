"""Keeps failures of the monitoring away from the training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Guard:
    """Runs parts of the monitoring; what fails is logged once, and the training goes on."""

    def __init__(self, say: Callable[[str], None]):
        """Writes with `say` into the log."""
        self._say = say
        self._failed: set[str] = set()

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        """Swallows errors of the body, and says the first one of each name."""
        try:
            yield
        except Exception as error:
            if what not in self._failed:
                self._failed.add(what)
                self._say(
                    f"WARNING: {what} failed and may be missing; the training goes on and this is "
                    f"not said again. {type(error).__name__}: {error}"
                )
