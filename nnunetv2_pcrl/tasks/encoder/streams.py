"""The streams of inputs of a training: which cases, which of their inputs, how many workers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.encoder.samples import (
    AllInputs,
    Order,
    OwnNumbers,
    Reader,
    TrainingSamples,
    loader_of,
)
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.views.seeding import seeded_generator

# Tells these draws apart from others of the same seed.
VALIDATION_STREAM = 24


@dataclass(frozen=True)
class InputStreams:
    """What all streams of a training have in common.

    Attributes:
        reader: of the cases.
        joint_batch: how several processes share a batch.
        seed: of all draws.
        num_workers: background workers, 0 to work in this process.
        is_pinned: whether batches go to a GPU.
    """

    reader: Reader
    joint_batch: JointBatch
    seed: int
    num_workers: int
    is_pinned: bool

    def training(
        self,
        table: ClassTable,
        order: Order,
        augment: Callable[[Tensor, tuple[int, ...]], Tensor],
        first_step: int,
    ) -> Iterator[dict]:
        """Batches without end, from that of the given step on, which is counted over all epochs."""
        samples = TrainingSamples(self.reader, table, order, augment, self.seed)
        batch = self.joint_batch
        numbers = OwnNumbers(batch.num_images, batch.own, first_step)
        return iter(self._loader(samples, self.num_workers, numbers))

    def all_inputs(self, table: ClassTable) -> DataLoader:
        """Batches of all inputs of this process's share of the cases, once per iteration."""
        own = table.identifiers[self.joint_batch.rank :: self.joint_batch.num_ranks]
        # A small part of an epoch, so are its workers.
        num_workers = self.num_workers and max(1, self.num_workers // 4)
        return self._loader(AllInputs(self.reader.inputs, own), num_workers)

    def some_images(self, table: ClassTable, order: Order, count: int) -> DataLoader:
        """One input of each of so many cases, as they are, the same for every process."""
        samples = TrainingSamples(self.reader, table, order, lambda image, _: image, self.seed)
        return self._loader(samples, 0, range(min(count, len(table))))

    def some_cases(self, table: ClassTable, most: int) -> ClassTable:
        """So many cases, always the same ones, in the order of the table."""
        order = torch.randperm(len(table), generator=seeded_generator(self.seed, VALIDATION_STREAM))
        return table.of([table.identifiers[place] for place in sorted(order[:most].tolist())])

    def _loader(self, samples, num_workers: int, numbers=None) -> DataLoader:
        return loader_of(samples, len(self.joint_batch.own), num_workers, self.is_pinned, numbers)
