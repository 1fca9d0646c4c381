"""Settings that every pretraining has, whatever its method."""

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal

import torch
from pydantic import Field, field_validator

from nnunetv2_pcrl.methods.optimizers import OptimizerName
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.settings.base import Settings
from nnunetv2_pcrl.views.corruption import CorruptionRanges
from nnunetv2_pcrl.views.distortion import DistortionChances
from nnunetv2_pcrl.views.pairs import PairRanges
from nnunetv2_pcrl.views.patches import PlacedPatch, draw_patch

# Of a step, where the plan has fewer: two of a segmentation are few for a loss without labels.
LEAST_PATCHES = 4
ScheduleName = Literal["cosine", "poly", "constant"]


class PretrainingSettings(Settings):
    """Length, optimiser, batch and pictures of a pretraining."""

    batch_size: int = Field(16, ge=2, description="images of a step")
    num_epochs: int = Field(
        240,
        ge=1,
        description="length of the training; by default as much arithmetic as nnU-Net's own "
        "training of 250,000 iterations",
    )
    num_iterations_per_epoch: int = Field(100, ge=1, description="steps of an epoch")
    num_val_iterations_per_epoch: int = Field(
        10, ge=1, description="steps of an epoch's validation, the same in every epoch"
    )
    optimizer: OptimizerName = Field(
        "sgd",
        description="SGD, SGD with Nesterov's momentum as nnU-Net has it, or AdamW. Unless given, "
        "learning rate, momentum and weight decay follow from it: 1e-2, 0.9, 1e-4; 1e-2, 0.99, "
        "3e-5; 1e-3, 0.9, 1e-2",
    )
    initial_lr: float = Field(1e-2, ge=0, le=100, description="the highest learning rate")
    momentum: float = Field(
        0.9, ge=0, le=0.9999, description="of SGD; AdamW's first beta, its second is 0.999"
    )
    weight_decay: float = Field(1e-4, ge=0, le=100, description="of the optimiser")
    warmup_epochs: int = Field(
        0, ge=0, description="epochs in which the learning rate rises to the highest one"
    )
    schedule: ScheduleName = Field(
        "cosine",
        description="how the learning rate falls: along a half cosine, as nnU-Net's (poly), or "
        "not at all",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="initialisation and every draw: equal seeds give equal runs on a CPU, with as "
        "many threads",
    )
    min_cases: int = Field(2, ge=1, description="fewest cases to train on")
    views_at_a_time: int | None = Field(
        None,
        ge=1,
        description="largest views that pass the network together: memory against speed; by "
        "default as many as half the memory of a segmentation step holds",
    )
    pictures_every: int = Field(
        1, ge=0, description="epochs between pictures of what is learned at least, 0 for none"
    )
    gradients_every: int = Field(
        5,
        ge=0,
        description="epochs between measurements of what each term of the loss pulls at the "
        "backbone, 0 for none",
    )
    probe_every: int = Field(
        10, ge=0, description="epochs between probes with labels; with 0 no label is read"
    )


class DeformationSettings(Settings):
    """How far a view is turned and stretched; see `draw_deformation`."""

    rotation_degrees: float = Field(
        10.0, ge=0, le=180, description="largest rotation in either direction"
    )
    deformation_scale: float = Field(
        0.1, ge=0, le=1, description="largest change of scale per axis"
    )


class ViewSettings(PretrainingSettings):
    """Of methods whose views all have one size."""

    view_size: tuple[int, ...] = Field(description="voxels of a view")


class PatchSettings(DeformationSettings, ViewSettings):
    """Of methods that see one patch of an image, in the size and by the optimiser of nnU-Net."""

    batch_size: int = Field(
        ge=2, description="images of a step; by default the plan's own number, 4 at least"
    )
    num_iterations_per_epoch: int = Field(250, ge=1, description="steps of an epoch")
    view_size: tuple[int, ...] = Field(
        description="the patch in voxels; by default the planned one, cut to a multiple of the "
        "total stride"
    )

    def drawn_patch(
        self, image_size: Sequence[int], spacing: tuple[float, ...], generator: torch.Generator
    ) -> PlacedPatch:
        """Draws where the patch lies in an image with this spacing, in mm per axis."""
        return draw_patch(
            image_size,
            self.view_size,
            spacing,
            self.deformation_scale,
            self.rotation_degrees,
            generator,
        )


class DistortionSettings(Settings):
    """Of methods that restore distorted views: how often a view is distorted."""

    p_shuffling: float = Field(
        0.5, ge=0, le=1, description="chance that voxels change places inside small windows"
    )
    shuffled_part: float = Field(
        0.85,
        gt=0,
        lt=1,
        description="part of a shuffled view's voxels that windows touch, away from its border",
    )
    p_curve: float = Field(
        0.9, ge=0, le=1, description="chance that intensities are bent along a random curve"
    )
    p_painting: float = Field(0.9, ge=0, le=1, description="chance that a part is painted over")
    p_outer: float = Field(
        0.8,
        ge=0,
        le=1,
        description="part of the painted views of which only a few windows are left; of the "
        "others a few boxes are painted",
    )

    @property
    def chances(self) -> DistortionChances:
        """Of the distortions."""
        names = [field.name for field in fields(DistortionChances)]
        return DistortionChances(**{name: getattr(self, name) for name in names})


class PairSettings(DeformationSettings, ViewSettings):
    """Of methods that see two overlapping views of an image, each turned and changed."""

    view_scale: tuple[float, float] = Field(
        (1.0, 1.75), description="crop size over view size, lowest and highest"
    )
    min_iou: float = Field(0.3, ge=0, le=0.95, description="least IoU of the two boxes")
    blur_sigma: float = Field(
        1.0, ge=0, le=100, description="largest Gaussian blur, in voxels of the view"
    )
    noise_std: float = Field(
        0.2, ge=0, le=100, description="largest standard deviation of noise, in that of the channel"
    )
    log_gamma: float = Field(
        0.3, ge=0, le=100, description="gamma is drawn from exp(-log_gamma) to exp(log_gamma)"
    )
    contrast: float = Field(
        0.3, ge=0, le=1, description="largest change of contrast about the mean"
    )

    @field_validator("view_scale")
    @classmethod
    def _is_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(
                f'"view_scale" must be [lowest, highest] with 0 < lowest <= highest, got '
                f"{list(value)}"
            )
        return value

    def pair_ranges(self, spacing: tuple[float, ...]) -> PairRanges:
        """How the views are drawn; nothing in them moves or is removed."""
        corruption = CorruptionRanges(
            swapped_part=0.0,
            patch_part=1.0,
            num_cut_outs=0,
            cut_out_part=1.0,
            blur_sigma=self.blur_sigma,
            noise_std=self.noise_std,
            log_gamma=self.log_gamma,
            contrast=self.contrast,
        )
        return PairRanges(
            self.view_size,
            self.view_scale,
            self.min_iou,
            spacing,
            self.deformation_scale,
            self.rotation_degrees,
            corruption,
        )


def patch_defaults(facts: PlanFacts) -> dict[str, Any]:
    """What follows from the plan for `PatchSettings`: its patch and its batch."""
    return {"batch_size": max(LEAST_PATCHES, facts.batch_size), "view_size": facts.whole_patch}


def settings_of_word(word: str) -> dict[str, Any] | None:
    """Settings that a word of a trainer's name stands for in every method; None if it is no such.

    `100epochs` is a length, `seed1` draws everything anew, `lr1en3` is an initial learning rate of
    1e-3 (nnU-Net's way to write it).
    """
    if match := re.fullmatch(r"([1-9]\d*)epochs?", word):
        return {"num_epochs": int(match[1])}
    if match := re.fullmatch(r"seed(\d+)", word):
        return {"seed": int(match[1])}
    rate = rate_of_word(word)
    return None if rate is None else {"initial_lr": rate}


def rate_of_word(word: str) -> float | None:
    """The learning rate that a word like lr1en3 stands for, here 1e-3; None if it is no such."""
    match = re.fullmatch(r"lr([1-9])en([1-9])", word)
    return match and int(match[1]) / 10 ** int(match[2])
