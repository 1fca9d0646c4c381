"""How a method draws views and makes them: what samples and pictures ask of a recipe."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.channels import Channels


class Prepared(Protocol):
    """Drawn views in the form that making them takes: a dataclass of small tensors."""

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """Makes the views on the region's device.

        Args:
            region: image values of `Drawn.region`, shape [C, (D,) H, W]; not modified.

        Returns:
            Tensors by name, each [views, ...].
        """


class Drawn(Protocol):
    """The views of one image."""

    @property
    def region(self) -> Box:
        """The box to read from the image; no view needs a voxel outside it."""

    @property
    def must_vary(self) -> tuple[Box, ...]:
        """Boxes that must have content."""

    @property
    def boxes(self) -> Mapping[str, tuple[Box, ...]]:
        """Of the views in the image, by kind of view, for pictures."""

    def prepared(self) -> Prepared:
        """Does all that can be done without the image's voxels."""


class Recipe(Protocol):
    """Which views are drawn."""

    @property
    def num_axes(self) -> int:
        """2 or 3, of the views."""

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> Drawn:
        """Draws the views of one image; equal generators give equal draws."""
