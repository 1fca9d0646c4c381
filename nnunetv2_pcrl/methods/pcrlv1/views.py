"""The views of PCRLv1: two distorted ones, what is to be restored of each, and by which code."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.methods.pcrlv1.settings import PCRLv1Settings
from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.corruption import corrupt_
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.distortion import Distortion, distort_, draw_distortion
from nnunetv2_pcrl.views.groups import PreparedGroup
from nnunetv2_pcrl.views.pairs import PlacedPair, draw_pair
from nnunetv2_pcrl.views.resample import resample
from nnunetv2_pcrl.views.seeding import coin, integer, uniform

QUARTER_TURNS = 4


@dataclass(frozen=True)
class Transform:
    """What a view is to be restored as: mirrored, and turned in the plane of the last two axes.

    Attributes:
        flips: whether each axis is mirrored.
        turns: quarter turns after that, 0 to 3; None where the plane is not square.
    """

    flips: tuple[bool, ...]
    turns: int | None

    @property
    def code(self) -> tuple[float, ...]:
        """One bit per axis, then one of four for the turns."""
        turned = () if self.turns is None else range(QUARTER_TURNS)
        return (*map(float, self.flips), *(float(self.turns == turn) for turn in turned))

    def applied(self, image: Tensor) -> Tensor:
        """The image [C, (D,) H, W] mirrored and turned."""
        axes = [1 + axis for axis, flip in enumerate(self.flips) if flip]
        return torch.rot90(image.flip(axes), self.turns or 0, (-2, -1))


def draw_transform(
    num_axes: int, is_square: bool, chance: float, generator: torch.Generator
) -> Transform:
    """Nothing but for a chance; then every axis is mirrored in half of the draws, squares turned.

    Args:
        num_axes: 2 or 3.
        is_square: whether the plane of the last two axes is.
        chance: that anything is drawn, in [0, 1].
        generator: random source.
    """
    is_drawn = uniform(0, 1, generator) < chance
    flips = tuple(coin(generator) and is_drawn for _ in range(num_axes))
    turns = integer(0, QUARTER_TURNS - 1, generator) * is_drawn
    return Transform(flips, turns if is_square else None)


@dataclass(frozen=True)
class PreparedViews:
    """Drawn views as small tensors.

    Attributes:
        group: both views.
        distortions: of the network's inputs.
        transforms: of what is to be restored.
        codes: of the transforms, [2, bits].
        mix: part of the first view where both are mixed, [1, 1].
    """

    group: PreparedGroup
    distortions: tuple[Distortion, Distortion]
    transforms: tuple[Transform, Transform]
    codes: Tensor
    mix: Tensor

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """Makes the views.

        Returns:
            `views` [2, C, (D,) H, W], distorted; `targets` [2, C, (D,) H, W], clean and
            transformed; `codes` [2, bits]; `mix` [1, 1].
        """
        prepared = on_device(self, region.device)
        views = resample(region, prepared.group.lines)
        targets = torch.stack(
            [each.applied(view) for each, view in zip(self.transforms, views, strict=True)]
        )
        corrupt_(views, prepared.group.corruption)
        for view, distortion in zip(views, prepared.distortions, strict=True):
            distort_(view, distortion)
        codes, mix = prepared.codes.to(views.dtype), prepared.mix.to(views.dtype)
        return {"views": views, "targets": targets, "codes": codes, "mix": mix}


@dataclass(frozen=True)
class DrawnViews(PlacedPair):
    """Two views of one image.

    Attributes:
        distortions: of the network's inputs.
        transforms: of what is to be restored.
        mix: part of the first view where both are mixed, in [0.5, 1].
    """

    distortions: tuple[Distortion, Distortion]
    transforms: tuple[Transform, Transform]
    mix: float

    def prepared(self) -> PreparedViews:
        """Does all that can be done without the image's voxels."""
        codes = torch.tensor([transform.code for transform in self.transforms])
        mix = torch.tensor([[self.mix]])
        return PreparedViews(self.group, self.distortions, self.transforms, codes, mix)


@dataclass(frozen=True)
class PCRLv1Recipe(SettingsRecipe[PCRLv1Settings]):
    """Two overlapping views of an image, distorted, each with a transform to be restored under.

    Attributes:
        is_square: whether quarter turns keep the size and the spacing of views.
    """

    is_square: bool

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> DrawnViews:
        """Draws the views, and beta of the mixture max(beta, 1 - beta) uniformly."""
        settings = self.settings
        ranges = settings.pair_ranges(self.spacing)
        pair = draw_pair(image_size, channels, ranges, generator)
        first, second = (
            draw_distortion(settings.view_size, channels, settings.chances, generator)
            for _ in range(2)
        )
        one, other = (
            draw_transform(self.num_axes, self.is_square, settings.p_transform, generator)
            for _ in range(2)
        )
        beta = uniform(0, 1, generator)
        return DrawnViews(
            pair.views, pair.region, (first, second), (one, other), max(beta, 1 - beta)
        )
