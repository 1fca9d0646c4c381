"""Masked autoencoding for convolutional networks: hidden blocks of a patch are restored.

The planned skip network itself sees a patch of the planned size in which blocks are hidden, and
restores what was there; only hidden voxels count.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from nnunetv2_pcrl.losses.restoration import in_units
from nnunetv2_pcrl.methods.method import About
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass
from nnunetv2_pcrl.methods.patch_restoration import PatchRestoration
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.methods.settings import PatchSettings
from nnunetv2_pcrl.monitoring.restoring import (
    errors_by_channel,
    shown,
    variance_of,
    warnings,
)
from nnunetv2_pcrl.monitoring.vocabulary import Column, Pictures, Shown
from nnunetv2_pcrl.networks.restoration import RestorationNetwork
from nnunetv2_pcrl.views.blocks import draw_blocks, hidden_from, mask_of
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.patches import PlacedPatch
from nnunetv2_pcrl.views.resample import resample

# Blocks have about this part of the patch's side, as those of 16 voxels of patches of 160.
BLOCK_PART = 0.1


class MAESettings(PatchSettings):
    """Everything that masked autoencoding depends on besides the data and the plan."""

    block_size: tuple[int, ...] = Field(
        description="voxels of a hidden block; by default the total stride of the stage nearest "
        "to a tenth of the patch"
    )
    mask_ratio: float = Field(0.75, gt=0, lt=1, description="part of the blocks that is hidden")


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


def block_size_of(facts: PlanFacts) -> tuple[int, ...]:
    """The total stride of the stage that is nearest to a tenth of the patch, on all axes together.

    So blocks align with the grids of all finer stages, and no stage is without visible voxels.
    """

    def distance(strides: Sequence[int]) -> float:
        aims = (BLOCK_PART * size for size in facts.patch_size)
        return sum(abs(math.log(s / a)) for s, a in zip(strides, aims, strict=True))

    return min(facts.total_strides, key=distance)


def masked_error(restored: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over hidden voxels and channels, a mean over images of each one's own.

    Args:
        restored, target: shape [B, C, (D,) H, W], in units of the data set.
        mask: 1 where hidden, shape [B, 1, (D,) H, W]; every image has a hidden voxel.

    Source: Wald et al. 2025; there divided by the hidden voxels alone, C times as much.
    """
    error = ((restored - target).square() * mask).flatten(1).sum(dim=1)
    return (error / (mask.flatten(1).sum(dim=1) * target.shape[1])).mean()


@dataclass(frozen=True)
class MAEObjective(Objective[RestorationNetwork]):
    """The error of hidden voxels; nothing is compared between images."""

    passes = (Pass("patch", "corrupted", maps=True),)
    weights: ClassVar[Mapping[str, float]] = {"restoration": 1.0}

    def of_views(
        self, network: RestorationNetwork, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """The masked error, and what restoring each target's mean would cost."""
        target = in_units(batch["target"][0], network.restoration.stds)
        restored = network.restoration(pyramid[-1]).to(target.dtype)
        return {
            "restoration": masked_error(restored, target, batch["mask"][0]),
            "target_variance": variance_of(target),
        }


class MAE(PatchRestoration[MAESettings, DrawnPatch]):
    """Masked autoencoding on the planned skip network.

    Source: He et al. 2022; for nnU-Net's networks Wald et al. 2025.
    """

    about = About(
        name="MAE",
        section="mae",
        title="restores hidden blocks of a patch",
        citations=(
            {
                "type": "Methodology",
                "name": "MAE",
                "apa_citations": [
                    "He, K., Chen, X., Xie, S., Li, Y., Dollar, P., & Girshick, R. (2022). Masked "
                    "Autoencoders Are Scalable Vision Learners. CVPR, 16000-16009.",
                    "Wald, T., Ulrich, C., Lukyanenko, S., Goncharov, A., Paderno, A., Miller, M., "
                    "... & Maier-Hein, K. (2025). Revisiting MAE Pre-training for 3D Medical Image "
                    "Segmentation. CVPR.",
                ],
            },
        ),
    )
    Settings = MAESettings

    def __init__(self, settings: MAESettings, facts: PlanFacts):
        super().__init__(settings, facts)
        blocks = settings.block_size
        if len(blocks) != facts.num_axes or min(blocks) < 1:
            raise ValueError(
                f'"block_size" must be {facts.num_axes} positive integers, got {blocks!r}'
            )
        if all(b >= v for b, v in zip(blocks, settings.view_size, strict=True)):
            raise ValueError(
                f'"block_size" {list(blocks)} leaves one block in a view of '
                f"{list(settings.view_size)}: nothing could be seen; make it smaller"
            )

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The planned patch and batch; blocks of a tenth of the patch."""
        return {**super().defaults(facts, given), "block_size": block_size_of(facts)}

    def recipe(self) -> MAERecipe:
        """A patch whose hidden voxels are 0 where that is the image's mean."""
        return MAERecipe(self.settings, self.facts.spacing, self.facts.known_means)

    def objective(
        self, network: RestorationNetwork, progress: float | None, generator: torch.Generator
    ) -> MAEObjective:
        """The same in training and validation: masks are drawn with the views."""
        return MAEObjective()

    def shown(self, num_levels: int) -> Shown:
        """The error, squared and in units of the variance."""
        return shown(
            "error of hidden voxels",
            "hidden voxels",
            "Squared difference of restored and true values where blocks were hidden, in units of "
            "the data set's variance. The dotted line is what restoring each patch's mean would "
            "cost.",
            loss="Squared error of hidden voxels.",
        )

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """Restorations that are stuck at the mean, or that stopped to improve early."""
        remedy = (
            'A higher "initial_lr", a lower "mask_ratio", smaller blocks ("block_size") or more '
            "epochs may help."
        )
        return warnings(logged, self.settings.num_epochs, remedy)

    def pictures(
        self, network: RestorationNetwork, drawn: DrawnPatch, views: Mapping[str, Tensor]
    ) -> Pictures:
        """What the network saw, what was there, what it made of it, and the two together."""
        target, mask = views["target"][0], views["mask"][0]
        corrupted = views["corrupted"][0]
        restored = network.restored(corrupted)
        together = torch.where(mask > 0, restored, target)
        errors = errors_by_channel(restored, target, mask)
        return Pictures(
            drawn.place.box,
            (
                Column("input", corrupted[0].cpu()),
                Column("target", target[0].cpu()),
                Column("restoration", restored[0].cpu(), errors),
                Column("hidden blocks restored", together[0].cpu(), errors),
            ),
            (together - target)[0].abs().cpu(),
            window_of=1,
        )
