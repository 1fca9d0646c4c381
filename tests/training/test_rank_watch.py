"""Ranks that hang: who is waited for, and that nobody waits for ever."""

import threading
import time

import pytest
import torch.distributed as dist

from nnunetv2_pcrl.training.rank_watch import (
    DEFAULT_WAIT_S,
    WAIT_VARIABLE,
    RankWatch,
    longest_wait_s,
)

pytestmark = pytest.mark.slow

WAIT_S = 0.8


class Ranks:
    """Watches of several ranks in one process, which meet in memory."""

    def __init__(self, num_ranks: int, wait_s: float = WAIT_S):
        self.store = dist.HashStore()
        self.said = [[] for _ in range(num_ranks)]
        self.ended = [threading.Event() for _ in range(num_ranks)]
        self.statuses = [[] for _ in range(num_ranks)]
        self.watches = [self._watch(rank, num_ranks, wait_s) for rank in range(num_ranks)]

    def _watch(self, rank: int, num_ranks: int, wait_s: float) -> RankWatch:
        def end(status: int) -> None:
            self.statuses[rank].append(status)
            self.ended[rank].set()

        return RankWatch(self.store, rank, num_ranks, wait_s, self.said[rank].append, end)

    def __enter__(self) -> "Ranks":
        for watch in self.watches:
            watch.__enter__()
        return self

    def __exit__(self, *_) -> None:
        for watch in self.watches:
            watch.__exit__()

    def begin(self, *ranks: int, step: str = "step 3 of epoch 7") -> None:
        for rank in ranks:
            self.watches[rank].begin_step(step)


def test_a_rank_that_does_not_begin_the_step_is_named_with_the_step_and_the_remedy():
    with Ranks(3) as ranks:
        ranks.begin(0, 1, 2)
        ranks.begin(0, 2, step="step 4 of epoch 7")
        assert ranks.ended[0].wait(10) and ranks.ended[2].wait(10)
    (text,) = ranks.said[0]
    assert text.startswith(
        "ERROR: rank 0, in step 4 of epoch 7, has waited for rank 1, which does not begin this step"
    )
    assert "go on with --c" in text and WAIT_VARIABLE in text and "0.8 s" in text
    assert ranks.said[2][0].startswith("ERROR: rank 2, in step 4 of epoch 7, has waited for rank 1")
    assert ranks.statuses[0] == ranks.statuses[2] == [1]


def test_a_rank_that_does_not_begin_a_step_ends_too():
    with Ranks(2) as ranks:
        ranks.begin(0, 1)
        ranks.begin(0)
        assert ranks.ended[1].wait(10)
    assert "rank 1, in step 3 of epoch 7, does not go on, and the others wait" in ranks.said[1][0]


def test_a_rank_that_is_stopped_does_not_answer_any_more():
    with Ranks(2) as ranks:
        ranks.begin(0, 1)
        ranks.watches[1].__exit__()
        assert ranks.ended[0].wait(10)
    assert "has waited for rank 1, which does not answer any more: stopped, or" in ranks.said[0][0]
    assert ranks.said[1] == []


def test_ranks_that_go_on_are_left_alone_however_many_steps_they_take():
    with Ranks(2) as ranks:
        for _ in range(12):
            ranks.begin(0, 1)
            time.sleep(WAIT_S / 8)
    assert ranks.said == [[], []]


def test_before_the_first_step_nobody_is_waited_for():
    with Ranks(2, wait_s=0.2) as ranks:
        time.sleep(0.4)
    assert ranks.said == [[], []]


def test_a_long_step_that_all_ranks_have_begun_is_given_time_and_not_for_ever():
    with Ranks(2, wait_s=0.4) as ranks:
        ranks.begin(0, 1)
        time.sleep(0.3)
        ranks.begin(0, 1)
        time.sleep(0.7)
        assert ranks.said == [[], []]
        assert ranks.ended[0].wait(10)
    assert "all ranks have begun this step and wait for one another" in ranks.said[0][0]


def test_parts_of_a_step_are_life_to_the_rank_itself_and_to_those_that_have_done_theirs():
    with Ranks(2, wait_s=0.4) as ranks:
        for _ in range(2):
            ranks.begin(0, 1)
        # Far longer than the longest step; rank 0 has nothing to do.
        for _ in range(15):
            ranks.watches[1].mark()
            time.sleep(0.1)
        assert ranks.said == [[], []]
        # It is behind now, and still goes on.
        ranks.begin(0)
        for _ in range(8):
            ranks.watches[1].mark()
            time.sleep(0.1)
        assert ranks.said == [[], []]
        assert ranks.ended[0].wait(10)
    assert "has waited for rank 1, which does not begin this step" in ranks.said[0][0]


def test_a_watch_that_is_over_ends_nothing():
    with Ranks(2, wait_s=0.2) as ranks:
        ranks.begin(0)
    time.sleep(0.4)
    assert ranks.said == [[], []]


def test_one_process_has_nobody_to_wait_for():
    assert RankWatch.of_this_process(print) is None


def test_the_longest_wait_is_a_number_of_seconds(monkeypatch):
    monkeypatch.delenv(WAIT_VARIABLE, raising=False)
    assert longest_wait_s() == DEFAULT_WAIT_S < 300
    monkeypatch.setenv(WAIT_VARIABLE, "1.5")
    assert longest_wait_s() == 1.5
    for text in ("0", "-1", "soon", "inf", "nan"):
        monkeypatch.setenv(WAIT_VARIABLE, text)
        with pytest.raises(ValueError, match=f"{WAIT_VARIABLE} must be .* above 0, got '{text}'"):
            longest_wait_s()
