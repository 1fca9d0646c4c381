"""Samples by number: which case, which views of it, and the voxels that these need.

Sample number i of a stream is a function of (seed, stream, i), whoever makes it: resumed and
repeated runs see the same views.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError, has_content
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.devices import as_arrays, pinned
from nnunetv2_pcrl.views.drawn import Drawn, Prepared, Recipe
from nnunetv2_pcrl.views.seeding import integer, seeded_generator

# Draws from one case until its views have content, and cases until one is usable.
MAX_DRAWS_PER_CASE = 10
MAX_CASES_PER_SAMPLE = 10

TRAINING_STREAM = 0
VALIDATION_STREAM = 1


@dataclass(frozen=True)
class StreamPosition:
    """Which samples a stream consists of.

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

    def numbers(self) -> Iterator[int]:
        """Numbers of the samples, without end."""
        numbers = itertools.count(self.first)
        return (number % self.period for number in numbers) if self.period else numbers


@dataclass(frozen=True)
class RegionSample:
    """The voxels of one image that its drawn views need, and these views, not yet made.

    Attributes:
        region: shape [C, (D,) H, W].
        prepared: the views, with numpy arrays in place of tensors.
        case: identifier.
        rejected: (identifier, reason) of the cases that were tried before it.
    """

    region: Tensor
    prepared: Prepared
    case: str
    rejected: tuple[tuple[str, str], ...]

    def made(self, device: torch.device) -> dict[str, Any]:
        """The sample with its views made on the device, as `ViewSamples` gives it."""
        return {
            # A region may have travelled in half precision.
            "views": self.prepared.make(self.region.to(device, non_blocking=True).float()),
            "case": self.case,
            "rejected": list(self.rejected),
        }

    def pin_memory(self) -> "RegionSample":
        """The same in page-locked memory; torch's DataLoader asks for it by this name."""
        return pinned(self)


class ViewSamples(Dataset[dict[str, Any]]):
    """Samples by number: the views of one image each, as a dictionary.

    Keys: `views` (tensors by name, each [views, ...]), `case` (identifier) and `rejected` (list of
    (identifier, reason) tried before it).
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        identifiers: Sequence[str],
        batch_size: int,
        recipe: Recipe,
        channels: Channels,
        position: StreamPosition,
        places: range | None = None,
    ):
        """Prepares the samples; files are opened when one is asked for.

        Args:
            folder: nnU-Net's preprocessed data of one configuration.
            identifiers: cases to draw from.
            batch_size: images that are compared with one another: drawn without repetition as
                long as there are enough cases.
            recipe: draws the views.
            channels: what those of the images hold.
            position: seed and stream of the samples.
            places: which images of each batch are wanted here, where several processes share it;
                all of them by default.
        """
        self.folder = folder
        self.identifiers = sorted(identifiers)
        self.batch_size = batch_size
        self.recipe = recipe
        self.channels = channels
        self.position = position
        self.places = places or range(batch_size)
        # The batch that was asked for last, and its cases.
        self._picked: tuple[int, list[int]] = (-1, [])

    def numbers(self) -> Iterator[int]:
        """Numbers of the wanted samples, without end."""
        return (n for n in self.position.numbers() if n % self.batch_size in self.places)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """The sample of that number, its views made here.

        Raises:
            RuntimeError: if no usable case was found, naming those that were tried.
        """
        return self.region(number).made(torch.device("cpu"))

    def region(self, number: int) -> RegionSample:
        """The sample of that number, its views not yet made.

        Raises:
            RuntimeError: if no usable case was found, naming those that were tried.
        """
        generator = seeded_generator(self.position.seed, self.position.stream, 1, number)
        rejected: list[tuple[str, str]] = []
        for identifier in self._candidates(number, generator):
            try:
                region, drawn = self._read_region(identifier, generator)
            except UnusableCaseError as reason:
                rejected.append((identifier, str(reason)))
                continue
            prepared = as_arrays(drawn.prepared())
            return RegionSample(region, prepared, identifier, tuple(rejected))
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in rejected)
        raise RuntimeError(f"No usable case in {len(rejected)} draws:{reasons}")

    def _candidates(self, number: int, generator: torch.Generator) -> Iterator[str]:
        """The case of a sample, by a permutation per batch, and others for the case it fails."""
        batch, place = divmod(number, self.batch_size)
        first = self._picks(batch)[place]
        yield self.identifiers[first]
        left = [case for case in range(len(self.identifiers)) if case != first]
        for _ in range(min(len(left), MAX_CASES_PER_SAMPLE - 1)):
            yield self.identifiers[left.pop(integer(0, len(left) - 1, generator))]

    def _picks(self, batch: int) -> list[int]:
        """The cases of a batch's samples, drawn once for all of them."""
        if self._picked[0] != batch:
            num_cases = len(self.identifiers)
            order = seeded_generator(self.position.seed, self.position.stream, 0, batch)
            permutations = range(-(-self.batch_size // num_cases))
            picks = [torch.randperm(num_cases, generator=order) for _ in permutations]
            self._picked = batch, torch.cat(picks).tolist()
        return self._picked[1]

    def _read_region(self, identifier: str, generator: torch.Generator) -> tuple[Tensor, Drawn]:
        """Draws views of a case until those that must vary do, and reads their region."""
        case = PreprocessedCase(self.folder, identifier)
        for _ in range(MAX_DRAWS_PER_CASE):
            image = case.image
            if self.recipe.num_axes == 2:
                # 2D configurations store volumes too; a sample is a slice of one.
                image = case.slice(integer(0, case.image_size[0] - 1, generator))
            drawn = self.recipe.draw(image.size, self.channels, generator)
            region = image.read(drawn.region)
            if has_content(region, drawn.must_vary, drawn.region):
                return region, drawn
        raise UnusableCaseError(
            f"{MAX_DRAWS_PER_CASE} drawn regions were constant: the image seems to have no content"
        )
