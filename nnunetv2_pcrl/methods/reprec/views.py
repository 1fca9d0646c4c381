"""The views of RepRec-style pretraining: two of an image, and the first one with hidden blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.methods.reprec.settings import RepRecSettings
from nnunetv2_pcrl.views.blocks import draw_blocks, hidden_from, mask_of
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.groups import PreparedGroup
from nnunetv2_pcrl.views.pairs import PlacedPair, draw_pair


@dataclass(frozen=True)
class PreparedViews:
    """Drawn views as small tensors.

    Attributes:
        group: both views.
        blocks: which tokens of the first view are hidden, bool [1, 1, ...].
        block_size: voxels of a token.
        fills: see `hidden_from`.
    """

    group: PreparedGroup
    blocks: Tensor
    block_size: tuple[int, ...]
    fills: Tensor

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """Makes the views.

        Returns:
            `views` [2, C, (D,) H, W]; `masked` [1, C, (D,) H, W], the first of them with hidden
            blocks; `hidden` [1, 1, (d,) h, w], 1 where a token is hidden.
        """
        prepared = on_device(self, region.device)
        views = prepared.group.made(region)
        mask = mask_of(prepared.blocks, self.block_size, views.shape[2:])
        return {
            "views": views,
            "masked": hidden_from(views[:1], mask, prepared.fills),
            "hidden": prepared.blocks.to(views.dtype),
        }


@dataclass(frozen=True)
class DrawnViews(PlacedPair):
    """Two views of one image and what is hidden of the first.

    Attributes:
        blocks: which tokens are hidden, bool [...].
        block_size: voxels of a token.
        fills: see `hidden_from`.
    """

    blocks: Tensor
    block_size: tuple[int, ...]
    fills: tuple[float, ...]

    def prepared(self) -> PreparedViews:
        """Does all that can be done without the image's voxels."""
        fills = torch.tensor(self.fills)
        return PreparedViews(self.group, self.blocks[None, None], self.block_size, fills)


@dataclass(frozen=True)
class RepRecRecipe(SettingsRecipe[RepRecSettings]):
    """Two overlapping views of an image, and a mask on the grid of the bottleneck.

    Attributes:
        block_size: total stride of the encoder, per axis.
        fills: see `hidden_from`.
    """

    block_size: tuple[int, ...]
    fills: tuple[float, ...]

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> DrawnViews:
        """Draws the views and the hidden tokens."""
        settings = self.settings
        ranges = settings.pair_ranges(self.spacing)
        pair = draw_pair(image_size, channels, ranges, generator)
        blocks = draw_blocks(settings.view_size, self.block_size, settings.mask_ratio, generator)
        return DrawnViews(pair.views, pair.region, blocks, self.block_size, self.fills)
