"""From preprocessed cases to batches of views, for nnU-Net's background workers.

A worker makes the views of one image at a time; `BatchStream` puts them together. Sample number i
of a stream is a function of (seed, stream, i), whichever worker makes it: resumed and repeated
runs see the same views.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from batchgenerators.dataloading.data_loader import SlimDataLoaderBase
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError, has_content
from nnunetv2_pcrl.views.recipe import DrawnViews, ViewSettings, draw_views, make_views
from nnunetv2_pcrl.views.seeding import integer, seeded_generator

# Draws from one case until its views have content, and cases until one is usable.
MAX_DRAWS_PER_CASE = 10
MAX_CASES_PER_SAMPLE = 10

TRAINING_STREAM = 0
VALIDATION_STREAM = 1


@dataclass(frozen=True)
class StreamPosition:
    """Which samples a loader makes.

    Attributes:
        seed: of the whole run.
        stream: TRAINING_STREAM or VALIDATION_STREAM.
        first: number of the first sample, so that a resumed run goes on where it stopped.
        period: after this many samples the stream repeats; 0 for never.
    """

    seed: int
    stream: int
    first: int = 0
    period: int = 0


class ViewLoader(SlimDataLoaderBase):
    """Endless samples: the views of one image each, as a dictionary.

    Keys: `target` [C, ...], `global_views` [2, C, ...], `local_views` [L, C, ...] (see `Views`),
    `case` (identifier), `rejected` (list of (identifier, reason) tried before it) and `error`
    (None, or why no case could be used: the other keys are absent then).
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        identifiers: Sequence[str],
        batch_size: int,
        settings: ViewSettings,
        position: StreamPosition,
        num_workers: int,
    ):
        """Prepares the loader; files are opened in the workers.

        Args:
            folder: nnU-Net's preprocessed data of one configuration.
            identifiers: cases to draw from.
            batch_size: images that are compared with one another: drawn without repetition as
                long as there are enough cases.
            settings: of the views.
            position: which samples to make.
            num_workers: workers that share the stream, at least 1.
        """
        super().__init__(sorted(identifiers), batch_size, num_workers)
        self.folder = folder
        self.settings = settings
        self.position = position
        self._made = 0

    def generate_train_batch(self) -> dict:
        """Makes the next sample of this worker's share of the stream."""
        if multiprocessing.parent_process() is not None:
            # Workers run beside one another; more threads each would only be in the way.
            torch.set_num_threads(1)
        index = self.position.first + self.thread_id
        index += self._made * self.number_of_threads_in_multithreaded
        self._made += 1
        return self.sample(index % self.position.period if self.position.period else index)

    def sample(self, index: int) -> dict:
        """Sample number `index` of the stream."""
        generator = seeded_generator(self.position.seed, self.position.stream, 1, index)
        rejected = []
        for attempt in range(MAX_CASES_PER_SAMPLE):
            identifier = self._case_of(index, attempt, generator)
            try:
                region, drawn = self._read_region(identifier, generator)
            except UnusableCaseError as reason:
                rejected.append((identifier, str(reason)))
                continue
            views = make_views(region, drawn, self.settings)
            return {
                "target": views.target,
                "global_views": views.global_views,
                "local_views": views.local_views,
                "case": identifier,
                "rejected": rejected,
                "error": None,
            }
        reasons = "; ".join(sorted({f"{name}: {reason}" for name, reason in rejected}))
        return {
            "rejected": rejected,
            "error": f"no usable case in {len(rejected)} draws: {reasons}",
        }

    def _case_of(self, index: int, attempt: int, generator: torch.Generator) -> str:
        """The case of a sample: a permutation per batch, or any other after a failure."""
        num_cases = len(self._data)
        if attempt > 0:
            return self._data[integer(0, num_cases - 1, generator)]
        batch, place = divmod(index, self.batch_size)
        order = seeded_generator(self.position.seed, self.position.stream, 0, batch)
        permutations = -(-self.batch_size // num_cases)
        picks = torch.cat([torch.randperm(num_cases, generator=order) for _ in range(permutations)])
        return self._data[picks[place]]

    def _read_region(
        self, identifier: str, generator: torch.Generator
    ) -> tuple[Tensor, DrawnViews]:
        """Draws views of a case until both global ones have content, and reads their region."""
        case = PreprocessedCase(self.folder, identifier)
        is_2d = len(self.settings.global_size) == 2
        for _ in range(MAX_DRAWS_PER_CASE):
            if is_2d:
                # 2D configurations store volumes too; a sample is a slice of one.
                position = integer(0, case.image_size[0] - 1, generator)
                drawn = draw_views(case.image_size[1:], case.num_channels, self.settings, generator)
                box = Box((position, *drawn.region.start), (1, *drawn.region.size))
                region = case.read(box)[:, 0]
            else:
                drawn = draw_views(case.image_size, case.num_channels, self.settings, generator)
                region = case.read(drawn.region)
            boxes = [view.box for view in drawn.global_views]
            if has_content(region, boxes, drawn.region):
                return region, drawn
        raise UnusableCaseError(
            f"{MAX_DRAWS_PER_CASE} drawn regions were constant: the image seems to have no content"
        )


class BatchStream:
    """Collects samples of a loader into batches, with or without background workers.

    Attributes:
        seconds_waited: time spent waiting for samples since the value was last set to 0.
    """

    def __init__(self, loader: ViewLoader, num_workers: int, pin_memory: bool):
        """Starts no worker yet; the first batch does.

        Args:
            loader: makes the samples.
            num_workers: background workers, 0 to work in this process.
            pin_memory: put tensors into page-locked memory for a GPU.
        """
        self.batch_size = loader.batch_size
        self.seconds_waited = 0.0
        if num_workers == 0:
            self._samples = SingleThreadedAugmenter(loader, None)
        else:
            self._samples = MultiThreadedAugmenter(
                loader, None, num_workers, num_cached_per_queue=2, pin_memory=pin_memory
            )

    def __iter__(self):
        return self

    def __next__(self) -> dict:
        """The next batch.

        Returns:
            `target` [B, C, ...], `global_views` [2, B, C, ...], `local_views` [L, B, C, ...],
            `cases` (B identifiers) and `rejected` (list of (identifier, reason)).

        Raises:
            RuntimeError: if no usable case was found for a sample, or a worker died.
        """
        begin = time.perf_counter()
        samples = [next(self._samples) for _ in range(self.batch_size)]
        self.seconds_waited += time.perf_counter() - begin
        for sample in samples:
            if sample["error"] is not None:
                raise RuntimeError(f"Cannot make views: {sample['error']}")
        return {
            "target": torch.stack([sample["target"] for sample in samples]),
            "global_views": torch.stack([sample["global_views"] for sample in samples], dim=1),
            "local_views": torch.stack([sample["local_views"] for sample in samples], dim=1),
            "cases": [sample["case"] for sample in samples],
            "rejected": [pair for sample in samples for pair in sample["rejected"]],
        }

    def close(self) -> None:
        """Ends the workers."""
        if isinstance(self._samples, MultiThreadedAugmenter):
            self._samples._finish()
