"""What an examination gives: facts for a page, and problems with remedies."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        text: what, in one sentence, with the numbers.
        remedy: what to do, in one sentence.
        stops: whether no training could run.
    """

    text: str
    remedy: str
    stops: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: of the part.
        facts: what was found, by name.
        problems: in what was found.
    """

    title: str
    facts: Mapping[str, str]
    problems: tuple[Problem, ...] = ()


def in_gib(size: float) -> str:
    """Bytes for a person, e.g. "1.5 GiB"; small ones in MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
