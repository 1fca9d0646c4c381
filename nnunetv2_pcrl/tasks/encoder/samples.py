"""Training images by number, and all inputs of cases, as batches."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.views.seeding import seeded_generator

# Tells these draws apart from others of the same seed.
ORDER_STREAM, IMAGE_STREAM = 21, 22


class Reader(Protocol):
    """Reads what the network sees of a case."""

    def drawn(self, identifier: str, generator: torch.Generator) -> Tensor:
        """One input of a case, for training, shape [C, ...]."""

    def inputs(self, identifier: str) -> Iterator[tuple[str, Tensor]]:
        """All inputs of a case, each of shape [C, *input], with what its logits belong to."""


class Order(Protocol):
    """Which case a sample shows, by the number of the sample."""

    def row(self, number: int) -> int:
        """The case of a sample, as its place in the table."""


class ShuffledOrder:
    """Every case comes once before any comes again."""

    def __init__(self, num_cases: int, seed: int):
        """Draws nothing yet.

        Args:
            num_cases: in the table.
            seed: of the draws.
        """
        self._num_cases, self._seed = num_cases, seed

    def row(self, number: int) -> int:
        """The case of a sample, as its place in the table."""
        turn, place = divmod(number, self._num_cases)
        generator = seeded_generator(self._seed, ORDER_STREAM, turn)
        return int(torch.randperm(self._num_cases, generator=generator)[place])


class TrainingSamples(Dataset):
    """Augmented inputs by number; number i is a function of the seed and i, whoever makes it.

    Keys: `image` [C, *input], `target` [K].
    """

    def __init__(
        self,
        reader: Reader,
        table: ClassTable,
        order: Order,
        augment: Callable[[Tensor, tuple[int, ...]], Tensor],
        seed: int,
    ):
        """Opens no file yet.

        Args:
            reader: of the cases.
            table: the training cases with their classes.
            order: of the cases.
            augment: takes an input and the numbers that decide its draws.
            seed: of all draws.
        """
        self.reader = reader
        self.table = table
        self.order = order
        self.augment = augment
        self.seed = seed

    def __getitem__(self, number: int) -> dict:
        """The sample of that number."""
        row = self.order.row(number)
        numbers = (self.seed, IMAGE_STREAM, number)
        image = self.reader.drawn(self.table.identifiers[row], seeded_generator(*numbers))
        target = torch.from_numpy(self.table.targets[row]).float()
        return {"image": self.augment(image, numbers), "target": target}


class OwnNumbers:
    """Numbers of the samples of one process, without end."""

    def __init__(self, batch_size: int, own: range, first_step: int):
        """Begins with a step.

        Args:
            batch_size: samples of a step, of all processes.
            own: places of this process in a batch.
            first_step: counted over all epochs.
        """
        self._batch_size, self._own, self._first = batch_size, own, first_step

    def __iter__(self) -> Iterator[int]:
        """The numbers."""
        for step in itertools.count(self._first):
            yield from (step * self._batch_size + place for place in self._own)


class AllInputs(IterableDataset):
    """All inputs of cases, one after another. Keys: `case`, `image` [C, *input].

    Background workers share the cases.
    """

    def __init__(
        self,
        inputs_of: Callable[[str], Iterator[tuple[str, Tensor]]],
        identifiers: Sequence[str],
    ):
        """Reads nothing yet.

        Args:
            inputs_of: gives the inputs of a case, each with what its logits belong to.
            identifiers: of the cases.
        """
        self._inputs_of, self._identifiers = inputs_of, identifiers

    def __iter__(self) -> Iterator[dict]:
        """The inputs."""
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for identifier in self._identifiers[first::step]:
            for name, image in self._inputs_of(identifier):
                yield {"case": name, "image": image}


def loader_of(
    samples: Dataset,
    batch_size: int,
    num_workers: int,
    pin_memory: bool,
    numbers: Iterable[int] | None = None,
) -> DataLoader:
    """Collects samples into batches.

    Args:
        samples: `TrainingSamples` with numbers, or `AllInputs`.
        batch_size: samples of a batch.
        num_workers: background workers, 0 to work in this process.
        pin_memory: whether batches go to a GPU.
        numbers: of the samples.
    """
    return DataLoader(
        samples,
        batch_size=batch_size,
        sampler=numbers,
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
        # A generator of its own, so that the global one is left as it is.
        generator=torch.Generator(),
    )
