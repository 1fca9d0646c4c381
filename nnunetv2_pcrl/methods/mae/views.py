"""The views of masked autoencoding: a patch, and the same with hidden blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.methods.mae.settings import MAESettings
from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.views.blocks import draw_blocks, hidden_from, mask_of
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.patches import PlacedPatch
from nnunetv2_pcrl.views.resample import resample


@dataclass(frozen=True)
class PreparedPatch:
    """A drawn patch as small tensors.

    Attributes:
        lines: where it samples the region, see `resample`.
        blocks: which blocks are hidden, bool [1, 1, ...].
        block_size: in voxels.
        fills: value of hidden voxels per channel, [C]; NaN for the mean of the visible ones.
    """

    lines: tuple[Tensor, ...]
    blocks: Tensor
    block_size: tuple[int, ...]
    fills: Tensor

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """Makes the patch.

        Returns:
            `target` [1, C, (D,) H, W]; `mask` [1, 1, (D,) H, W], 1 where hidden; `corrupted`, the
            target whose hidden voxels hold the fill: they say nothing of what they hide.
        """
        prepared = on_device(self, region.device)
        target = resample(region, prepared.lines)
        mask = mask_of(prepared.blocks, self.block_size, target.shape[2:])
        return {
            "target": target,
            "mask": mask.to(target.dtype),
            "corrupted": hidden_from(target, mask, prepared.fills),
        }


@dataclass(frozen=True)
class DrawnPatch(PlacedPatch):
    """A patch of one image and what is hidden of it.

    Attributes:
        blocks: which blocks are hidden, bool [...].
        block_size: in voxels.
        fills: see `PreparedPatch`.
    """

    blocks: Tensor
    block_size: tuple[int, ...]
    fills: tuple[float, ...]

    def prepared(self) -> PreparedPatch:
        """Does all that can be done without the image's voxels."""
        return PreparedPatch(
            self.lines, self.blocks[None, None], self.block_size, torch.tensor(self.fills)
        )


@dataclass(frozen=True)
class MAERecipe(SettingsRecipe[MAESettings]):
    """One patch of an image, mirrored and slightly turned, with hidden blocks.

    Attributes:
        fills: see `PreparedPatch`.
    """

    fills: tuple[float, ...]

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> DrawnPatch:
        """Draws a patch and its mask."""
        settings = self.settings
        patch = settings.drawn_patch(image_size, self.spacing, generator)
        blocks = draw_blocks(
            settings.view_size, settings.block_size, settings.mask_ratio, generator
        )
        return DrawnPatch(patch.place, patch.region, blocks, settings.block_size, self.fills)
