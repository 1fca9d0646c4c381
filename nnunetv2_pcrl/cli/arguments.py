"""How every command reads its arguments: after the shell, which may ask for completions."""

import argparse
import os
from collections.abc import Sequence

# Set by the shell's function of argcomplete, which runs the command to ask.
_COMPLETING = "_ARGCOMPLETE"


def parsed(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """The command's arguments; where a shell asks for completions, they are all it does."""
    if _COMPLETING in os.environ:
        _complete(parser)
    return parser.parse_args(arguments)


def _complete(parser: argparse.ArgumentParser) -> None:
    """Prints completions and ends the process; goes on where the extra is not installed."""
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)
