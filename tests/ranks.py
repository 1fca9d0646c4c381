"""Runs a function in several processes that are joined by gloo, on the CPU."""

import os
import socket
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Autograd starts here, before any test: after torch.compile it would start threads, and could not
# be used in a forked process.
torch.ones((), requires_grad=True).backward()


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_on_ranks(function: Callable, num_ranks: int, *arguments, timeout_s: float = 300) -> list:
    """Calls function(*arguments) in every process; the results, None of a process that died.

    The processes are forked: they see what is already imported. An error in one of them is raised.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{rank}.pt" for rank in range(num_ranks)]

        def work(rank: int) -> None:
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            dist.init_process_group("gloo", rank=rank, world_size=num_ranks)
            try:
                outcome = {"result": function(*arguments)}
            except BaseException:
                outcome = {"error": traceback.format_exc()}
            torch.save(outcome, files[rank])
            # Without the goodbyes of a finished program, which belong to the test's process.
            os._exit(0)

        context = mp.get_context("fork")
        processes = [context.Process(target=work, args=(rank,)) for rank in range(num_ranks)]
        for process in processes:
            process.start()
        try:
            for process in processes:
                process.join(timeout_s)
                assert process.exitcode is not None, f"still running after {timeout_s} s"
        finally:
            for process in processes:
                process.kill()
        outcomes = [torch.load(f, weights_only=False) if f.exists() else {} for f in files]
    for rank, outcome in enumerate(outcomes):
        assert "error" not in outcome, f"rank {rank}: {outcome['error']}"
    return [outcome.get("result") for outcome in outcomes]
