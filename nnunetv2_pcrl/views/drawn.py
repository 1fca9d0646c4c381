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
    """The views of one image.

    Attributes:
        region: the box to read from the image; no view needs a voxel outside it.
        must_vary: boxes that must have content.
        boxes: of the views in the image, by kind of view, for pictures.
    """

    region: Box
    must_vary: tuple[Box, ...]
    boxes: Mapping[str, tuple[Box, ...]]

    def prepared(self) -> Prepared:
        """Does all that can be done without the image's voxels."""


class Recipe(Protocol):
    """Which views are drawn.

    Attributes:
        num_axes: 2 or 3, of the views.
    """

    num_axes: int

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> Drawn:
        """Draws the views of one image; equal generators give equal draws."""
