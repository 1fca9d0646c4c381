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


def print_bounded(
    failed: Mapping[str, str], what: str, remainder: str, per_reason: int = 5, most: int = 20
) -> None:
    """Lists names and reasons as far as a person reads on; nothing if there are none.

    Args:
        failed: reasons by name.
        what: they are.
        remainder: says where all of them are.
        per_reason: lines of the same reason.
        most: lines altogether.
    """
    if not failed:
        return
    print(f"\n{len(failed)} {what}:")
    names: dict[str, list[str]] = {}
    for name, reason in failed.items():
        names.setdefault(reason, []).append(name)
    lines = []
    for reason, same in names.items():
        lines += [(1, f"  {name}: {reason}") for name in same[:per_reason]]
        more = len(same) - per_reason
        lines += [(more, f"  and {more} more: {reason}")] if more > 0 else []
    for _, line in lines[:most]:
        print(line)
    if hidden := sum(count for count, _ in lines[most:]):
        print(f"  and {hidden} more of other kinds")
    if len(lines) < len(failed) or hidden:
        print(f"  {remainder}")
