"""Seeds in the names of trainers: runs of the same seed share everything that chance decides."""

import re

_SEED = re.compile(r"_seed(\d+)(?=_|$)")
_LENGTH = re.compile(r"_\d+epochs?(?=_|$)")


def split_seed(name: str) -> tuple[str, int | None]:
    """A trainer's name without its seed, and the seed; None if it has none.

    Args:
        name: class name, e.g. PCRLv2FinetuneTrainer_seed3_100epochs.
    """
    match = _SEED.search(name)
    return (name, None) if match is None else (_SEED.sub("", name, count=1), int(match[1]))


def with_seed(name: str, seed: int) -> str:
    """The trainer of that seed: the word stands before the length, or at the end without one.

    Args:
        name: class name without a seed.
        seed: not negative.
    """
    length = _LENGTH.search(name)
    place = length.start() if length else len(name)
    return f"{name[:place]}_seed{seed}{name[place:]}"
