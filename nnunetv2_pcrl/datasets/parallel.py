"""Runs a function over cases in processes; a case that fails does not stop the others."""

import io
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, redirect_stdout
from itertools import islice
from multiprocessing import get_context
from typing import Any

from tqdm import tqdm


def run_cases(
    function: Callable[..., str | None],
    jobs: Mapping[str, tuple[Any, ...]],
    num_processes: int,
    description: str,
) -> tuple[dict[str, str], dict[str, str]]:
    """Calls `function(*arguments)` per case, with a progress bar.

    Args:
        function: defined at the top of a module; it writes its result to a file, and may return
            a remark on the case.
        jobs: arguments per identifier.
        num_processes: 1 runs everything in this process.
        description: of the progress bar.

    Returns:
        Reasons of the cases that failed, and remarks on others, in the order of the jobs.

    Raises:
        ValueError: if a process was killed.
    """
    failed, remarks = {}, {}
    # Closed at once when the loop is left early, at Ctrl-C for example.
    with (
        tqdm(total=len(jobs), desc=description, disable=not jobs) as bar,
        closing(_outcomes(function, jobs, num_processes)) as outcomes,
    ):
        for identifier, (reason, remark) in outcomes:
            if reason is not None:
                failed[identifier] = reason
            if remark is not None:
                remarks[identifier] = remark
            bar.update()
    return _in_order(failed, jobs), _in_order(remarks, jobs)


def _in_order(texts: dict[str, str], jobs: Mapping[str, Any]) -> dict[str, str]:
    return {identifier: texts[identifier] for identifier in jobs if identifier in texts}


def _outcomes(
    function: Callable[..., str | None], jobs: Mapping[str, tuple[Any, ...]], num_processes: int
) -> Generator[tuple[str, tuple[str | None, str | None]], None, None]:
    num_processes = min(num_processes, len(jobs))
    if num_processes <= 1:
        for identifier, arguments in jobs.items():
            yield identifier, _call(function, arguments)
        return
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
        futures = {
            pool.submit(_call, function, arguments): identifier
            for identifier, arguments in jobs.items()
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise ValueError(
                "A worker process was killed, most often for lack of memory. Finished cases are "
                f"kept: run the same command again with fewer processes than {num_processes} (-np)."
            ) from error
        finally:
            # If the loop was left early, the cases that wait are given up.
            pool.shutdown(cancel_futures=True)


def _call(
    function: Callable[..., str | None], arguments: tuple[Any, ...]
) -> tuple[str | None, str | None]:
    """Why the call failed, or None, and its remark. nnU-Net says some reasons by print only."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            return None, function(*arguments)
    except MemoryError as error:
        return f"there was not enough memory ({error}): give fewer processes (-np)", None
    except Exception as error:
        # What readers raise on a damaged file is of almost any type.
        message = str(error) or said.getvalue() or type(error).__name__
        return " ".join(message.split()), None


def listed(failed: Mapping[str, str], most: int = 20) -> str:
    """Reasons by case or file for a message, a line each, and the number of those beyond `most`."""
    lines = [f"\n  {name}: {reason}" for name, reason in islice(failed.items(), most)]
    more = len(failed) - len(lines)
    return "".join(lines) + (f"\n  and {more} more" if more else "")
