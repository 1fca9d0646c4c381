"""Settings that the words behind a trainer's name stand for."""

from collections.abc import Callable, Sequence
from typing import Any

from nnunetv2_pcrl.methods.method import Method


def settings_of_words(
    words: Sequence[str],
    method: type[Method],
    settings_of: Callable[[str], dict[str, Any] | None],
) -> dict[str, Any] | None:
    """Settings of all words together; None if a word means nothing.

    There are none either of two words that say different things of the same setting.

    Args:
        words: of the name. Variants of the method say whose weights are taken, and set nothing.
        method: whose weights are taken.
        settings_of: settings of a word; None if it is no such.
    """
    found: dict[str, Any] = {}
    for word in words:
        if word in method.variants:
            continue
        settings = settings_of(word)
        if settings is None or settings.keys() & found.keys():
            return None
        found |= settings
    return found
