"""Names and numbers that files of others give: what may become a part of a path or a command."""

import unicodedata
from typing import Any

MAX_BYTES = 255
# Control characters (line ends among them), and halves of characters that no file system takes.
_UNFIT_CATEGORIES = ("Cc", "Cs")


def plain_name(value: Any, what: str) -> str:
    """Lets a name pass that names one file or folder in the folder that it is looked up in.

    Args:
        value: from a file of others.
        what: what it names, for the message, e.g. "case name".

    Raises:
        ValueError: if it is no text, is empty, has a separator of folders or control characters in
            it, goes up a folder, or is too long for a file system.
    """
    if (
        isinstance(value, str)
        and value.strip() not in ("", ".", "..")
        and not {"/", "\\"} & set(value)
        and not any(unicodedata.category(character) in _UNFIT_CATEGORIES for character in value)
        and len(value.encode()) <= MAX_BYTES
    ):
        return value
    raise ValueError(
        f"{what} {_shown(value)} is no plain file name; rename it to 1 to {MAX_BYTES} "
        f"characters without / and \\"
    )


def plain_number(value: Any, what: str) -> int:
    """Lets a whole number from 0 on pass.

    Args:
        value: from a file of others.
        what: what it counts, for the message, e.g. "fold".

    Raises:
        ValueError: if it is anything else.
    """
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError(f"{what} {_shown(value)} is no whole number from 0 on")
    return value


def _shown(value: Any) -> str:
    """A value for a message, in one line of bounded length."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
