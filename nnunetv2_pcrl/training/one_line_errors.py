"""One line in the place of a traceback where a person can mend the error.

nnUNetv2_train is nnU-Net's command, so nothing of ours stands around it. What stands at its end,
and at that of every process of torchrun, is Python's hook for errors that nobody caught: by then
nobody else wants the error, and its type is of no use any more. Tests and programs see it as it is.
"""

import dis
import sys
import traceback
from pathlib import Path
from types import TracebackType

import nnunetv2
from nnunetv2.paths import nnUNet_preprocessed

import nnunetv2_pcrl

_COMMANDS = "nnUNetv2_"
_PACKAGE = Path(nnunetv2_pcrl.__file__).parent
# nnU-Net's own refusals of arguments.
_NNUNET = tuple(Path(nnunetv2.__file__).parent / name for name in ("run", "utilities"))
_RAISE = dis.opmap["RAISE_VARARGS"]


def install_in_commands() -> None:
    """Shortens what nnU-Net's commands say; in any other program nothing changes."""
    if Path(sys.argv[0]).name.startswith(_COMMANDS):
        install()


def install() -> None:
    """Shortens errors of this program, unless it has a hook of its own."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_in_one_line


def in_one_line(error: BaseException) -> str | None:
    """What to say of an error that nobody caught; None for one that needs its traceback."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, FileNotFoundError) and error.filename:
        return _missing(Path(error.filename))
    if isinstance(error, ValueError | RuntimeError | OSError) and _is_said(error.__traceback__):
        return str(error)
    return None


def _print_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    text = in_one_line(error)
    if text is None:
        traceback.print_exception(kind, error, trace)
    else:
        print(f"ERROR: {text}", file=sys.stderr)


def _is_said(trace: TracebackType | None) -> bool:
    """Whether a `raise` of ours or of nnU-Net's checks made the error: other errors are bugs."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    file = Path(code.co_filename)
    is_checked = any(file.is_relative_to(folder) for folder in (_PACKAGE, *_NNUNET))
    return is_checked and code.co_code[trace.tb_lasti] == _RAISE


def _missing(path: Path) -> str:
    """That a file is not there; for a plans file, which ones are."""
    text = f"there is no file {path}"
    is_of_a_dataset = nnUNet_preprocessed.is_set() and (
        path.parent.parent == Path(nnUNet_preprocessed.get())
    )
    if path.suffix != ".json" or not is_of_a_dataset:
        return text
    others = [
        file.stem
        for file in sorted(path.parent.glob("*.json"))
        if '"plans_name"' in file.read_text(encoding="utf-8", errors="replace")
    ]
    if not others:
        return f"{text}: plan and preprocess the data set first"
    return f"{text}. There are {', '.join(others)}: name one of them with -p"
