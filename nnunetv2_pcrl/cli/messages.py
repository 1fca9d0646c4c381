"""What all commands say to a person in the same way: errors and lists of odd files."""

import errno
import os
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

# More lines of a list than these nobody reads.
MAX_LISTED = 20
# What shells report of a program that a closed pipe ended (SIGPIPE).
_CLOSED_PIPE = 141
# What a person can do about an error of the operating system.
_REMEDIES = {
    errno.EACCES: "give yourself the permission, or choose another place",
    errno.EPERM: "give yourself the permission, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENOSPC: "make space, and run the same command again",
    errno.EDQUOT: "make space, and run the same command again",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a part of the path is a file: check it",
    errno.EISDIR: "name a file in the place of the folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def exit_with_error() -> Iterator[None]:
    """Ends the command with the message of an error that a person can mend, without a traceback.

    If nobody reads on, as behind `| head`, it ends without a word.
    """
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            # What is left to be flushed at the end of the process goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_CLOSED_PIPE)
        sys.exit(f"ERROR: {_of_system(error)}")
    except ValueError as error:
        sys.exit(f"ERROR: {printable(str(error))}")
    except (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        sys.exit(f"ERROR: a compressed file is truncated or damaged ({error}); get it again.")
    except MemoryError as error:
        sys.exit(f"ERROR: there is not enough memory ({error}); give fewer processes or images.")
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again to go on.", file=sys.stderr)
        sys.exit(130)


def _reader_is_gone() -> bool:
    """Whether the broken pipe is that of the output; pipes of worker processes break too."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return True
    return False


def _of_system(error: OSError) -> str:
    """File, reason and remedy; a message without a file stays as it is."""
    if error.filename is None or error.strerror is None:
        return printable(str(error))
    name = printable(str(error.filename))
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{name}: {error.strerror}" + (f"; {remedy}." if remedy else "")


def printable(text: str) -> str:
    """Text that every terminal takes: names of files may hold anything."""
    return text.encode("utf-8", "backslashreplace").decode()


def print_failed(failed: Mapping[str, str], what: str) -> None:
    """Lists names and reasons, if there are any: the first ones, and counts of the others."""
    print_bounded(failed, what, "", MAX_LISTED, MAX_LISTED)


def print_bounded(
    failed: Mapping[str, str],
    what: str,
    remainder: str,
    per_reason: int = 5,
    most: int = MAX_LISTED,
) -> None:
    """Lists names and reasons as far as a person reads on; nothing if there are none.

    Args:
        failed: reasons by name.
        what: they are.
        remainder: says where all of them are; empty if nothing does.
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
        print(printable(line))
    if hidden := sum(count for count, _ in lines[most:]):
        print(f"  and {hidden} more of other kinds")
    if remainder and (len(lines) < len(failed) or hidden):
        print(f"  {remainder}")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows with aligned columns; the first is the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(printable("  ".join(cells).rstrip()))
