"""Settings that check themselves: bounds and texts stand on the fields, once."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

Own = TypeVar("Own", bound="Settings")


class Settings(BaseModel):
    """Frozen settings of one section of the plans file.

    Types are strict (a whole number is no text, true is no number), lists are taken as tuples,
    numbers are finite. Every field has a description, from which the reference page is made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def names(cls) -> set[str]:
        """Names of all settings."""
        return set(cls.model_fields)

    @classmethod
    def from_values(cls: type[Own], values: Mapping[str, Any], section: str) -> Own:
        """Settings from what the plans file, a variant or a plan says.

        Args:
            values: settings by name; those that are missing take their default.
            section: name of the section in the plans file, for messages.

        Raises:
            ValueError: naming every setting that is unknown or does not fit, with its value.
        """
        check_names(values, cls.names(), section)
        try:
            return cls(**{name: _as_tuples(value) for name, value in values.items()})
        except ValidationError as error:
            problems = "; ".join(_in_words(problem) for problem in error.errors())
            raise ValueError(f'{problems} (settings in section "{section}")') from None

    def as_plain(self) -> dict[str, Any]:
        """Lists, numbers and strings only, for JSON and for checkpoints."""
        return self.model_dump(mode="json")


def check_names(values: Iterable[str], known: Iterable[str], section: str) -> None:
    """Refuses names that nobody reads, because a typing error would pass unnoticed.

    Raises:
        ValueError: naming the unknown ones and the nearest known ones.
    """
    unknown, known = sorted(set(values) - set(known)), sorted(known)
    if not unknown:
        return
    hints = []
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hints.append(f'"{name}"' + (f' (did you mean "{near[0]}"?)' if near else ""))
    raise ValueError(
        f'unknown setting in section "{section}" of the plans file: {", ".join(hints)}. '
        f"Known are: {', '.join(known)}."
    )


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def _in_words(problem: Mapping[str, Any]) -> str:
    """One problem of pydantic's list as half a sentence."""
    # A check of ours over several settings says all of it by itself.
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    name = ".".join(str(part) for part in problem["loc"])
    what = problem["msg"].replace("Input should be", "must be", 1)
    return f'"{name}" {what[0].lower()}{what[1:]}, got {problem["input"]!r}'
