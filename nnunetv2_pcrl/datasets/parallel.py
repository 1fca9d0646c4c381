"""Runs a function over cases in processes; a case that fails does not stop the others."""

import io
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from multiprocessing import get_context
from typing import Any

from tqdm import tqdm


def run_cases(
    function: Callable[..., None],
    jobs: Mapping[str, tuple[Any, ...]],
    num_processes: int,
    description: str,
) -> dict[str, str]:
    """Calls `function(*arguments)` per case, with a progress bar.

    Args:
        function: defined at the top of a module; it writes its result to a file.
        jobs: arguments per identifier.
        num_processes: 1 runs everything in this process.
        description: of the progress bar.

    Returns:
        Reasons of the cases that failed, in the order of the jobs.

    Raises:
        ValueError: if a process was killed.
    """
    failed = {}
    with tqdm(total=len(jobs), desc=description, disable=not jobs) as bar:
        for identifier, reason in _outcomes(function, jobs, num_processes):
            if reason is not None:
                failed[identifier] = reason
            bar.update()
    return {identifier: failed[identifier] for identifier in jobs if identifier in failed}


def _outcomes(
    function: Callable[..., None], jobs: Mapping[str, tuple[Any, ...]], num_processes: int
) -> Iterator[tuple[str, str | None]]:
    num_processes = min(num_processes, len(jobs))
    if num_processes <= 1:
        for identifier, arguments in jobs.items():
            yield identifier, _reason_of_failure(function, arguments)
        return
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
        futures = {
            pool.submit(_reason_of_failure, function, arguments): identifier
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


def _reason_of_failure(function: Callable[..., None], arguments: tuple[Any, ...]) -> str | None:
    """None, or why the call failed. nnU-Net says some reasons on the output only."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            function(*arguments)
    except Exception as error:
        # What readers raise on a damaged file is of almost any type.
        message = str(error) or said.getvalue() or type(error).__name__
        return " ".join(message.split())
    return None
