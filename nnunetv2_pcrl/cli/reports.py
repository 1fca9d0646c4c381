"""What all commands say to a person in the same way: errors and lists of odd files."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def exit_with_error() -> Iterator[None]:
    """Ends the command with the message of an error that a person can mend, without a traceback."""
    try:
        yield
    except (ValueError, OSError) as error:
        sys.exit(f"ERROR: {error}")


def print_failed(failed: Mapping[str, str], what: str) -> None:
    """Lists names and reasons, if there are any."""
    if not failed:
        return
    print(f"\n{len(failed)} {what}:")
    for name, reason in failed.items():
        print(f"  {name}: {reason}")
