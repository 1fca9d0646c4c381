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
from torch import Tensor, nn

from nnunetv2_pcrl.methods.method import About, Method
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass
from nnunetv2_pcrl.methods.plan_facts import PlanFacts, check_view_size
from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.vocabulary import (
    Card,
    Chart,
    Column,
    Line,
    Pictures,
    Series,
    Shown,
    both_phases,
)
from nnunetv2_pcrl.networks.heads import RestorationHead
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.networks.skip import SkipUNet
from nnunetv2_pcrl.views.boxes import Box, draw_box_within, draw_crop_size
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.groups import PlacedView, lines_of, place_view, region_of
from nnunetv2_pcrl.views.resample import resample

# Blocks have about this part of the patch's side, as those of 16 voxels of patches of 160.
BLOCK_PART = 0.1


class MAESettings(PretrainingSettings):
    """Everything that masked autoencoding depends on besides the data and the plan."""

    batch_size: int = Field(
        ge=2, description="images of a step; by default the plan's own number, 4 at least"
    )
    num_epochs: int = Field(250, ge=1, description="length of the training")
    num_iterations_per_epoch: int = Field(250, ge=1, description="steps of an epoch")
    initial_lr: float = Field(1e-2, ge=0, le=100, description="learning rate of the first epoch")
    momentum: float = Field(0.99, ge=0, le=0.9999, description="of SGD, Nesterov's")
    weight_decay: float = Field(3e-5, ge=0, le=100, description="of the optimiser")
    view_size: tuple[int, ...] = Field(
        description="the patch in voxels; by default the planned one, cut to a multiple of the "
        "total stride"
    )
    block_size: tuple[int, ...] = Field(
        description="voxels of a hidden block; by default the total stride of the stage nearest "
        "to a tenth of the patch"
    )
    mask_ratio: float = Field(0.75, gt=0, lt=1, description="part of the blocks that is hidden")
    rotation_degrees: float = Field(
        10.0, ge=0, le=180, description="largest rotation in either direction"
    )
    deformation_scale: float = Field(
        0.1, ge=0, le=1, description="largest change of scale per axis"
    )


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
        visible = (~mask).sum().clamp_min(1)
        axes = tuple(range(2, target.ndim))
        means = target.masked_fill(mask, 0.0).sum(dim=axes) / visible
        fills = torch.where(prepared.fills.isnan(), means, prepared.fills.to(means))
        fills = fills.view(1, -1, *[1] * len(axes))
        return {
            "target": target,
            "mask": mask.to(target.dtype),
            "corrupted": torch.where(mask, fills, target),
        }


@dataclass(frozen=True)
class DrawnPatch:
    """A patch of one image and what is hidden of it.

    Attributes:
        place: in the image.
        region: the box to read from the image.
        blocks: which blocks are hidden, bool [...].
        block_size: in voxels.
        fills: see `PreparedPatch`.
    """

    place: PlacedView
    region: Box
    blocks: Tensor
    block_size: tuple[int, ...]
    fills: tuple[float, ...]

    @property
    def must_vary(self) -> tuple[Box, ...]:
        """The patch."""
        return (self.place.box,)

    @property
    def boxes(self) -> Mapping[str, tuple[Box, ...]]:
        """The patch."""
        return {"patch": self.must_vary}

    def prepared(self) -> PreparedPatch:
        """Does all that can be done without the image's voxels."""
        return PreparedPatch(
            lines_of([self.place], self.region),
            self.blocks[None, None],
            self.block_size,
            torch.tensor(self.fills),
        )


@dataclass(frozen=True)
class MAERecipe:
    """One patch of an image, mirrored and slightly turned, with hidden blocks.

    Attributes:
        settings: sizes and ratio.
        spacing: mm per voxel, per axis in plan order.
        fills: see `PreparedPatch`.
    """

    settings: MAESettings
    spacing: tuple[float, ...]
    fills: tuple[float, ...]

    @property
    def num_axes(self) -> int:
        """2 or 3."""
        return len(self.spacing)

    def draw(
        self, image_size: Sequence[int], num_channels: int, generator: torch.Generator
    ) -> DrawnPatch:
        """Draws a patch, at the scale of the image where that is large enough, and its mask."""
        settings = self.settings
        whole = Box((0,) * len(image_size), tuple(image_size))
        size = draw_crop_size(settings.view_size, image_size, (1.0, 1.0), generator)
        place = place_view(
            draw_box_within(size, whole, generator),
            settings.view_size,
            self.spacing,
            settings.deformation_scale,
            settings.rotation_degrees,
            generator,
        )
        blocks = draw_blocks(
            settings.view_size, settings.block_size, settings.mask_ratio, generator
        )
        region = region_of([place], image_size)
        return DrawnPatch(place, region, blocks, settings.block_size, self.fills)


def draw_blocks(
    view_size: Sequence[int],
    block_size: Sequence[int],
    ratio: float,
    generator: torch.Generator,
) -> Tensor:
    """Which blocks of a regular grid are hidden: exactly floor(ratio n) of n, all alike likely.

    Args:
        view_size, block_size: voxels per axis; the last block of an axis may stand out.
        ratio: of hidden blocks, in (0, 1).
        generator: random source.

    Returns:
        Bool, one value per block; at least one is hidden and one is not.
    """
    grid = [-(-size // edge) for size, edge in zip(view_size, block_size, strict=True)]
    count = math.prod(grid)
    hidden = min(max(1, math.floor(ratio * count)), count - 1)
    blocks = torch.zeros(count, dtype=torch.bool)
    blocks[torch.randperm(count, generator=generator)[:hidden]] = True
    return blocks.view(grid)


def mask_of(blocks: Tensor, block_size: Sequence[int], view_size: Sequence[int]) -> Tensor:
    """The mask of a view from its blocks, [1, 1, (D,) H, W]."""
    for axis, (edge, size) in enumerate(zip(block_size, view_size, strict=True), start=2):
        blocks = blocks.repeat_interleave(edge, dim=axis).narrow(axis, 0, size)
    return blocks


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
        restored, target: shape [B, C, (D,) H, W].
        mask: 1 where hidden, shape [B, 1, (D,) H, W]; every image has a hidden voxel.

    Source: Wald et al. 2025; there divided by the hidden voxels alone, C times as much.
    """
    error = ((restored - target).square() * mask).flatten(1).sum(dim=1)
    return (error / (mask.flatten(1).sum(dim=1) * target.shape[1])).mean()


class MAENetwork(PretrainingNetwork):
    """The planned skip network with a linear head on its full resolution."""

    def __init__(self, planned: nn.Module, num_channels: int):
        super().__init__()
        self.backbone = SkipUNet(planned)
        channels = self.backbone.level_channels[-1]
        conv_op = self.backbone.encoder.conv_op
        self.restoration = RestorationHead(conv_op, channels, num_channels)


@dataclass(frozen=True)
class MAEObjective(Objective):
    """The error of hidden voxels; nothing is compared between images."""

    passes = (Pass("patch", "corrupted", maps=True),)
    weights: ClassVar[Mapping[str, float]] = {"restoration": 1.0}

    def of_views(
        self, network: MAENetwork, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """The masked error, and what restoring each target's mean would cost."""
        target = batch["target"][0]
        restored = network.restoration(pyramid[-1]).to(target.dtype)
        return {
            "restoration": masked_error(restored, target, batch["mask"][0]),
            "target_variance": target.flatten(2).var(dim=2, unbiased=False).mean(),
        }


class MAE(Method[MAESettings]):
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
        check_view_size("view_size", settings.view_size, facts)
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

    @property
    def largest_view(self) -> int:
        """Voxels of the patch."""
        return math.prod(self.settings.view_size)

    @property
    def num_levels(self) -> int:
        """One per decoder stage."""
        return len(self.facts.strides) - 1

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The planned patch and batch; blocks of a tenth of the patch."""
        return {
            "batch_size": max(4, facts.batch_size),
            "view_size": tuple(
                max(1, size // stride) * stride
                for size, stride in zip(facts.patch_size, facts.total_stride, strict=True)
            ),
            "block_size": block_size_of(facts),
        }

    def recipe(self) -> MAERecipe:
        """A patch whose hidden voxels are 0 where that is the image's mean."""
        schemes = self.facts.normalization
        fills = tuple(0.0 if name == "ZScoreNormalization" else math.nan for name in schemes)
        return MAERecipe(self.settings, self.facts.spacing, fills)

    def build(self, planned: nn.Module) -> MAENetwork:
        """The planned network with a head for images in the place of labels."""
        return MAENetwork(planned, self.facts.num_channels)

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """nnU-Net's own: SGD with Nesterov's momentum."""
        settings = self.settings
        return torch.optim.SGD(
            network.parameters(),
            settings.initial_lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.momentum > 0,
        )

    def objective(
        self, network: MAENetwork, progress: float | None, generator: torch.Generator
    ) -> MAEObjective:
        """The same in training and validation: masks are drawn with the views."""
        return MAEObjective()

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Adds the error in units of the targets' variance."""
        if "restoration" not in means:
            return means
        variance = max(means["target_variance"], 1e-12)
        return {**means, "restoration_error": means["restoration"] / variance}

    def shown(self, num_levels: int) -> Shown:
        """The error, squared and in units of the variance."""
        return Shown(
            series=(
                Series("restoration", short="restoration", is_term=True),
                Series("target_variance"),
                Series("restoration_error", ("val",)),
            ),
            charts=(
                Chart(
                    "error of hidden voxels, squared",
                    (
                        *both_phases("restoration", "hidden voxels", 0),
                        Line("val_target_variance", "the patch's mean", -1, "dotted"),
                    ),
                    from_zero=True,
                    text="Squared difference of restored and true values where blocks were "
                    "hidden. The dotted line is what restoring each patch's mean would cost.",
                    axis="squared error",
                ),
                Chart(
                    "error of hidden voxels / variance (1: the mean)",
                    (Line("val_restoration_error", "validation", 0),),
                    from_zero=True,
                    text="The same relative to the image's variance: 1 is as good as the mean, "
                    "0 is perfect.",
                    axis="error / variance",
                ),
            ),
            cards=(
                Card(
                    "error of hidden voxels / variance",
                    ("val_restoration_error",),
                    text="1: as good as restoring the mean; 0: perfect.",
                    short="restoration error",
                ),
            ),
            loss="Squared error of hidden voxels.",
        )

    def warnings(self, logged: Mapping[str, list]) -> dict[str, str]:
        """Restorations that are stuck at the mean, or that stopped to improve early."""
        remedy = (
            'A higher "initial_lr", a lower "mask_ratio", smaller blocks ("block_size") or more '
            "epochs may help."
        )
        error = "val_restoration_error"
        found = checks.stuck_at_the_mean(logged, error, remedy)
        watched = checks.Watched(error, "the restoration", 0.5)
        return found or checks.plateau(logged, watched, self.settings.num_epochs, remedy)

    def pictures(
        self, network: MAENetwork, drawn: DrawnPatch, views: Mapping[str, Tensor]
    ) -> Pictures:
        """What the network saw, what was there, what it made of it, and the two together."""
        target, mask = views["target"][0], views["mask"][0]
        corrupted = views["corrupted"][0]
        restored = network.restoration(network.backbone(corrupted)[-1]).to(target.dtype)
        together = torch.where(mask > 0, restored, target)
        axes = tuple(range(2, target.ndim))
        error = ((restored - target).square() * mask).sum(dim=axes) / mask.sum(dim=axes)
        variance = target.var(dim=axes, unbiased=False).clamp_min(1e-12)
        errors = tuple((error / variance)[0].tolist())
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
