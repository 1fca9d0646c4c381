"""Batches of nnU-Net's loaders that a seed decides, whatever the number of workers.

nnU-Net's workers draw by chances of their own, and its queue hands batches on in the order in which
they are ready. Here every batch has a number, which together with the seed decides all that is
drawn for it: cases, places and augmentation.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.data_loader import SlimDataLoaderBase
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter


class NumberedBatches:
    """Gives the batches of a loader one after another, each drawn from its number."""

    def __init__(
        self, loader: SlimDataLoaderBase, seed: Sequence[int], first: int, num_workers: int
    ):
        """Wraps a loader.

        Args:
            loader: of nnU-Net; every batch is drawn anew, from the global random sources.
            seed: numbers that tell these batches from others.
            first: number of the first batch.
            num_workers: workers that share the batches, each of which makes every so manieth;
                with 0 they are made in this process.
        """
        self._loader = loader
        self._seed = tuple(seed)
        self._next = first
        self._num_workers = num_workers

    def set_thread_id(self, thread_id: int) -> None:
        """Tells a copy of this, in the process of a worker, which batches are its own."""
        self._next += thread_id

    def __iter__(self) -> "NumberedBatches":
        return self

    def __next__(self) -> dict[str, Any]:
        number = self._next
        self._next += max(1, self._num_workers)
        with _drawn_from((*self._seed, number)):
            return next(self._loader)


def seeded_augmenter(
    loader: SlimDataLoaderBase,
    seed: Sequence[int],
    first: int,
    num_workers: int,
    pin_memory: bool,
) -> SingleThreadedAugmenter | MultiThreadedAugmenter:
    """What a trainer of nnU-Net takes batches from, started.

    Args:
        loader: of nnU-Net, with its transforms.
        seed: numbers that tell these batches from others.
        first: number of the first batch: that of the step at which a training goes on.
        num_workers: processes that make batches; 0 makes them in this one.
        pin_memory: whether they are copied to a GPU.
    """
    batches = NumberedBatches(loader, seed, first, num_workers)
    if num_workers == 0:
        return SingleThreadedAugmenter(batches, None)
    # This one takes a batch from every worker in turn.
    augmenter = MultiThreadedAugmenter(
        batches, None, num_workers, num_cached_per_queue=1, pin_memory=pin_memory, wait_time=0.002
    )
    augmenter.restart()
    return augmenter


def seed_of(*numbers: int) -> int:
    """One seed from several numbers, another one for others."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@contextmanager
def _drawn_from(seed: Sequence[int]) -> Iterator[None]:
    """Draws from a seed inside; outside it is as if nothing had been drawn."""
    states, threads = (random.getstate(), np.random.get_state()), torch.get_num_threads()
    words = np.random.SeedSequence(seed).generate_state(3).tolist()
    with torch.random.fork_rng(devices=[]):
        # Sums over more threads are rounded otherwise, and a forked worker has one only.
        torch.set_num_threads(1)
        random.seed(words[0])
        np.random.seed(words[1])
        torch.default_generator.manual_seed(words[2])
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_num_threads(threads)
