"""Ends a training in which ranks wait for one that hangs, and says for which.

The libraries that join the ranks wait in silence, some of them for half an hour. Here a thread of
every rank tells the others, through PyTorch's store, how many steps it has begun; another one ends
its process when the training does not go on.
"""

import os
import threading
import time
from collections.abc import Callable

import torch.distributed as dist

WAIT_VARIABLE = "nnUNet_pcrl_rank_timeout"
# With the time that torchrun gives a process to end, less than five minutes.
DEFAULT_WAIT_S = 240.0
TICKS_PER_WAIT = 40
# A step that all ranks have begun may be a long one; so many of the longest are no step any more.
LONGEST_STEPS = 5


def longest_wait_s() -> float:
    """How many seconds ranks wait for another one, from the environment.

    Raises:
        ValueError: if the variable holds something else.
    """
    text = os.environ.get(WAIT_VARIABLE, "")
    try:
        seconds = float(text or DEFAULT_WAIT_S)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{WAIT_VARIABLE} must be a number of seconds above 0, got {text!r}")
    return seconds


class RankWatch:
    """Watches the ranks of a training from one of them, as a context manager.

    Time is counted in ticks of its own, so that a job which a scheduler suspends and continues is
    not taken for one that hangs.
    """

    def __init__(
        self,
        store: dist.Store,
        rank: int,
        num_ranks: int,
        wait_s: float,
        say: Callable[[str], None],
        end: Callable[[int], None] = os._exit,
    ):
        """Watches nothing before the first step.

        Args:
            store: that all ranks share.
            rank: of this process.
            num_ranks: processes.
            wait_s: longest time for which a rank may wait for another one.
            say: tells a person.
            end: ends the process with a status, whatever its other threads do.
        """
        self._store = dist.PrefixStore("nnunetv2_pcrl", store)
        self._rank = rank
        self._others = [other for other in range(num_ranks) if other != rank]
        self._wait_s = wait_s
        self._tick_s = wait_s / TICKS_PER_WAIT
        self._say = say
        self._end = end
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._step = ""
        self._num_steps = 0
        self._step_began = time.monotonic()
        self._longest_step_s = 0.0
        self._ticks_in_step = 0
        self._num_marks = 0
        # What others have last told, how many ticks ago, and how long ago they last came further.
        self._told = dict.fromkeys(self._others, "0 0 0")
        self._silent_ticks = dict.fromkeys(self._others, 0)
        self._idle_ticks = dict.fromkeys(self._others, 0)

    @classmethod
    def of_this_process(cls, say: Callable[[str], None]) -> "RankWatch | None":
        """The watch over the default process group; None where there is nobody to wait for."""
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return None
        store = dist.distributed_c10d._get_default_store()
        return cls(store, dist.get_rank(), dist.get_world_size(), longest_wait_s(), say)

    def __enter__(self) -> "RankWatch":
        for work in (self._talk, self._judge):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_) -> None:
        self._stopped.set()

    def begin_step(self, name: str) -> None:
        """This rank has begun a step, e.g. "step 3 of epoch 7"."""
        now = time.monotonic()
        if self._num_steps:
            self._longest_step_s = max(self._longest_step_s, now - self._step_began)
        self._step, self._step_began, self._ticks_in_step = name, now, 0
        self._num_steps += 1

    def mark(self) -> None:
        """This rank has done a part of a long step, and is not waiting."""
        self._ticks_in_step = 0
        self._num_marks += 1

    def _talk(self) -> None:
        """Tells the others how far this rank is, and listens to them."""
        ticks = 0
        while True:
            ticks += 1
            try:
                self._store.set(str(self._rank), f"{self._num_steps} {self._num_marks} {ticks}")
                for other in self._others:
                    # To ask for what is not there yet would keep the store busy for everybody.
                    if self._store.check([str(other)]):
                        self._hear(other, self._store.get(str(other)).decode())
            except RuntimeError:
                # The process that keeps the store has ended, and the ranks will notice.
                return
            if self._stopped.wait(self._tick_s):
                return

    def _hear(self, other: int, told: str) -> None:
        before, self._told[other] = self._told[other], told
        if told != before:
            self._silent_ticks[other] = 0
        if told.split()[:2] != before.split()[:2]:
            self._idle_ticks[other] = 0

    def _judge(self) -> None:
        """Ends this process when it has waited too long."""
        while not self._stopped.wait(self._tick_s):
            self._ticks_in_step += 1
            for other in self._others:
                self._silent_ticks[other] += 1
                self._idle_ticks[other] += 1
            if self._num_steps and self._ticks_in_step >= TICKS_PER_WAIT:
                reason = self._reason()
                if reason is not None and not self._stopped.is_set():
                    self._say(
                        f"ERROR: rank {self._rank}, in {self._step}, {reason}. Checkpoints are "
                        f"intact: end what is left of the training and go on with --c. (Ranks wait "
                        f"{self._wait_s:g} s for one another; environment variable {WAIT_VARIABLE})"
                    )
                    self._end(1)
                    return

    def _reason(self) -> str | None:
        """Why the training does not go on; None while it may only be slow."""
        silent = [o for o in self._others if self._silent_ticks[o] > TICKS_PER_WAIT // 2]
        steps = {other: int(told.split()[0]) for other, told in self._told.items()}
        working = {o for o in self._others if self._idle_ticks[o] < TICKS_PER_WAIT}
        behind = [o for o in self._others if steps[o] < self._num_steps and o not in working]
        if len(silent) == len(self._others) > 1:
            return "has waited in vain: the place where the ranks meet does not answer (rank 0)"
        if silent:
            return (
                f"has waited for {_ranks(silent)}, which {_does(silent)} not answer any more: "
                f"stopped, or on a machine that is gone"
            )
        if behind:
            return f"has waited for {_ranks(behind)}, which {_does(behind)} not begin this step"
        if any(count > self._num_steps for count in steps.values()):
            return "does not go on, and the others wait for it"
        if working:
            return None
        waited_s = self._ticks_in_step * self._tick_s
        if not self._longest_step_s or waited_s < LONGEST_STEPS * self._longest_step_s:
            return None
        return "does not go on; all ranks have begun this step and wait for one another"


def _ranks(numbers: list[int]) -> str:
    return f"rank{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _does(numbers: list[int]) -> str:
    return "do" if len(numbers) > 1 else "does"
