"""The streams of views of a training: which cases, which samples, how many workers."""

from dataclasses import dataclass
from pathlib import Path

import torch

from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.training.cases import usable_cases
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.drawn import Recipe
from nnunetv2_pcrl.views.loader import BatchStream
from nnunetv2_pcrl.views.samples import (
    TRAINING_STREAM,
    VALIDATION_STREAM,
    StreamPosition,
    ViewSamples,
)


@dataclass(frozen=True)
class StreamSource:
    """What training and validation streams have in common.

    Attributes:
        folder: preprocessed data of the configuration.
        recipe: draws the views.
        settings: batch size, lengths and seed are read.
        places: which images of each batch this process works on.
        channels: of the images, as many as the network takes.
        device: where batches are wanted.
    """

    folder: Path
    recipe: Recipe
    settings: PretrainingSettings
    places: range
    channels: Channels
    device: torch.device

    def training(
        self, cases: list[str], step: int, num_workers: int
    ) -> tuple[BatchStream, list[tuple[str, str]]]:
        """Endless batches, from that of the given step on, which is counted over all epochs.

        Returns:
            The stream, and (identifier, reason) of cases that cannot be used.

        Raises:
            ValueError: if fewer cases are usable than the settings demand.
        """
        settings = self.settings
        first = step * settings.batch_size
        position = StreamPosition(settings.seed, TRAINING_STREAM, first=first)
        return self._stream(cases, position, num_workers, settings.min_cases)

    def validation(
        self, cases: list[str], num_workers: int
    ) -> tuple[BatchStream, list[tuple[str, str]]]:
        """The same batches in every epoch; otherwise as `training`, with one case at least."""
        settings = self.settings
        period = settings.num_val_iterations_per_epoch * settings.batch_size
        position = StreamPosition(settings.seed, VALIDATION_STREAM, period=period)
        # Validation is a small part of an epoch, so are its workers.
        return self._stream(cases, position, num_workers and max(1, num_workers // 4), 1)

    def _stream(
        self, cases: list[str], position: StreamPosition, num_workers: int, least: int
    ) -> tuple[BatchStream, list[tuple[str, str]]]:
        usable, problems = usable_cases(self.folder, cases, len(self.channels.stds), least)
        samples = ViewSamples(
            self.folder,
            usable,
            self.settings.batch_size,
            self.recipe,
            self.channels,
            position,
            self.places,
        )
        return BatchStream(samples, num_workers, self.device), problems
