"""What was measured from files that have not changed since is not measured again."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.weights.atomic import replaced_atomically


class Measured:
    """Measurements by name, in one JSON file, each with the times of the files that it is from.

    Args:
        path: the file; it need not exist. One that cannot be read is made anew.
    """

    def __init__(self, path: Path):
        self.path = path
        self._entries: dict[str, dict[str, Any]] = {}
        self._changed = False
        if path.is_file():
            try:
                self._entries = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                self._entries = {}

    def get(self, name: str, files: Iterable[Path], measure: Callable[[], Any]) -> Any:
        """The measurement, made if there is none or if one of the files has changed.

        Args:
            name: of the measurement.
            files: that it is made from.
            measure: makes it; the result is what JSON can hold.

        Raises:
            OSError: if one of the files is missing.
        """
        times = [file.stat().st_mtime_ns for file in files]
        entry = self._entries.get(name)
        if not isinstance(entry, dict) or entry.get("times") != times:
            entry = {"times": times, "value": measure()}
            self._entries[name] = entry
            self._changed = True
        return entry["value"]

    def save(self) -> None:
        """Writes the file if something was measured."""
        if self._changed:
            with replaced_atomically(self.path) as temporary:
                temporary.write_text(json.dumps(self._entries), encoding="utf-8")
            self._changed = False
