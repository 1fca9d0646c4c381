"""Names of cases, shortened for a picture so that different ones stay different."""

from collections.abc import Sequence
from os.path import commonprefix


def shortened(names: Sequence[str], longest: int = 20) -> list[str]:
    """The names in no more letters than these, by leaving out what is in the middle.

    Where names differ only there, what they have in common before it is left out instead.
    """
    short = [_without_middle(name, longest) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    common = len(commonprefix(list(names)))
    short = [
        name if len(name) <= longest else _without_middle(f"{name[:3]}…{name[common:]}", longest)
        for name in names
    ]
    if len(set(short)) == len(set(names)):
        return short
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names), 1)}
    return [f"{_without_middle(name, longest - 5)} ({numbers[name]})" for name in names]


def _without_middle(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    end = (longest - 1) // 2
    return f"{name[: longest - 1 - end]}…{name[-end:]}"
