"""Training images by number, and all inputs of cases, as batches."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.classification.framing import Framing
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError
from nnunetv2_pcrl.views.seeding import seeded_generator

# Tells these draws apart from others of the same seed.
ORDER_STREAM, IMAGE_STREAM = 21, 22


@dataclass(frozen=True)
class CaseReader:
    """Reads inputs of preprocessed cases.

    Attributes:
        folder: preprocessed data of the configuration.
        framing: of the inputs.
    """

    folder: str | os.PathLike
    framing: Framing

    def drawn(self, identifier: str, generator: torch.Generator) -> Tensor:
        """One input of a case, shape [C, *patch]."""
        case = self._opened(identifier)
        return self._read(case, self.framing.drawn_box(case.image_size, generator))

    def inputs(self, identifier: str) -> Iterator[Tensor]:
        """All inputs of a case, each of shape [C, *patch]."""
        case = self._opened(identifier)
        for box in self.framing.boxes(case.image_size):
            yield self._read(case, box)

    def _opened(self, identifier: str) -> PreprocessedCase:
        try:
            return PreprocessedCase(self.folder, identifier)
        except UnusableCaseError as error:
            raise _unusable(identifier, error) from error

    def _read(self, case: PreprocessedCase, box: Box) -> Tensor:
        try:
            return self.framing.framed(case.read(box))
        except UnusableCaseError as error:
            raise _unusable(case.identifier, error) from error


def _unusable(identifier: str, error: UnusableCaseError) -> ValueError:
    return ValueError(
        f"Case {identifier} cannot be used: {error}. Preprocess it again, or take it out of "
        f"classes.csv."
    )


class TrainingSamples(Dataset):
    """Augmented inputs by number; number i is a function of the seed and i, whoever makes it.

    Every case comes once before any comes again. Keys: `image` [C, *patch], `target` [K].
    """

    def __init__(
        self,
        reader: CaseReader,
        table: ClassTable,
        augment: Callable[[Tensor, tuple[int, ...]], Tensor],
        seed: int,
    ):
        """Opens no file yet.

        Args:
            reader: of the cases.
            table: the training cases with their classes.
            augment: takes an input and the numbers that decide its draws.
            seed: of all draws.
        """
        self.reader = reader
        self.table = table
        self.augment = augment
        self.seed = seed

    def __getitem__(self, number: int) -> dict:
        """The sample of that number."""
        row = self.row(number)
        numbers = (self.seed, IMAGE_STREAM, number)
        image = self.reader.drawn(self.table.identifiers[row], seeded_generator(*numbers))
        target = torch.from_numpy(self.table.targets[row]).float()
        return {"image": self.augment(image, numbers), "target": target}

    def row(self, number: int) -> int:
        """The case of a sample, as its place in the table."""
        turn, place = divmod(number, len(self.table))
        order = torch.randperm(
            len(self.table), generator=seeded_generator(self.seed, ORDER_STREAM, turn)
        )
        return int(order[place])


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
    """All inputs of cases, one after another. Keys: `case`, `image` [C, *patch].

    Background workers share the cases.
    """

    def __init__(self, inputs_of: Callable[[str], Iterator[Tensor]], identifiers: Sequence[str]):
        """Reads nothing yet.

        Args:
            inputs_of: gives the inputs of a case.
            identifiers: of the cases.
        """
        self._inputs_of, self._identifiers = inputs_of, identifiers

    def __iter__(self) -> Iterator[dict]:
        """The inputs."""
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for identifier in self._identifiers[first::step]:
            for image in self._inputs_of(identifier):
                yield {"case": identifier, "image": image}


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
