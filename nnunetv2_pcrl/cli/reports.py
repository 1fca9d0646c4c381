"""What all commands say to a person in the same way: errors and lists of odd files."""

import errno
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

# More lines of a list than these nobody reads; files beside the results hold all.
MAX_LISTED = 20
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
    """Ends the command with the message of an error that a person can mend, without a traceback."""
    try:
        yield
    except OSError as error:
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


def _of_system(error: OSError) -> str:
    """File, reason and remedy; a message without a file stays as it is."""
    if error.filename is None or error.strerror is None:
        return printable(str(error))
    name = printable(str(error.filename))
    remedy = _REMEDIES.get(error.errno)
    return f"{name}: {error.strerror}" + (f"; {remedy}." if remedy else "")


def printable(text: str) -> str:
    """Text that every terminal takes: names of files may hold anything."""
    return text.encode("utf-8", "backslashreplace").decode()


def print_failed(failed: Mapping[str, str], what: str) -> None:
    """Lists names and reasons, if there are any: the first ones, and counts of the others."""
    if not failed:
        return
    print(f"\n{len(failed)} {what}:")
    entries = list(failed.items())
    for name, reason in entries[:MAX_LISTED]:
        print(printable(f"  {name}: {reason}"))
    others = Counter(reason for _, reason in entries[MAX_LISTED:])
    for reason, count in others.most_common(MAX_LISTED):
        print(printable(f"  and {count} more: {reason}"))
    rest = sum(others.values()) - sum(count for _, count in others.most_common(MAX_LISTED))
    if rest:
        print(f"  and {rest} more for other reasons")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows with aligned columns; the first is the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(printable("  ".join(cells).rstrip()))
