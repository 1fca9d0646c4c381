"""Settings of VoCo, and those that follow from the planned patch."""

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from nnunetv2_pcrl.methods.plan_facts import PlanFacts, nearest_multiple
from nnunetv2_pcrl.methods.settings import ViewSettings
from nnunetv2_pcrl.views.corruption import CorruptionRanges

# The two published forms of the method, see `objective.py`.
Form = Literal["tpami", "cvpr"]
# Base crops per axis of the image plane; one along the axis that the plan pools least.
CELLS_IN_PLANE = 3


class VoCoSettings(ViewSettings):
    """Everything that a VoCo pretraining depends on besides the data and the plan.

    Sizes are in voxels per axis, in plan order (D,) H, W.
    """

    batch_size: int = Field(
        8, ge=1, description="images of a step, 16 in 2D; the inter term needs two"
    )
    form: Form = Field(
        "tpami",
        description="tpami: the teacher is a projector, images are compared with the next one too; "
        "cvpr: the teacher is a whole network, images are compared with themselves alone",
    )
    grid: tuple[int, ...] = Field(
        description="base crops per axis; by default 3 per axis, and in 3D one along the axis that "
        "the plan pools least"
    )
    cell_size: tuple[int, ...] = Field(
        description="largest crop of the image; by default 3/4 of the patch. Smaller images are "
        "divided whole"
    )
    view_size: tuple[int, ...] = Field(
        description="every crop is resized to it; by default the multiple of the total stride "
        "nearest to half the patch, two strides at least"
    )
    num_queries: int = Field(4, ge=1, description="crops anywhere in the grid, to be placed")
    embedding_size: int = Field(1024, ge=2, description="widths of the projector's layers")
    feature_dropout: float = Field(
        0.2, ge=0, le=0.9, description="part of the features that the student does not see"
    )
    teacher_momentum: float = Field(
        0.9, ge=0, le=1, description="of the teacher, which follows the student"
    )
    intra_weight: float = Field(
        1.0, ge=0, le=100, description="of the overlaps with the image's own base crops"
    )
    inter_weight: float = Field(
        1.0, ge=0, le=100, description="of the similarities to the next image's base crops"
    )
    regulariser_weight: float = Field(
        1.0, ge=0, le=100, description="of the similarity of the base crops to one another"
    )
    p_mirror: float = Field(
        0.2, ge=0, le=1, description="chance that a crop is mirrored, per axis, whatever the others"
    )
    blur_sigma: float = Field(
        0.0, ge=0, le=100, description="largest Gaussian blur of a crop, in voxels of the view"
    )
    noise_std: float = Field(
        0.1,
        ge=0,
        le=100,
        description="largest standard deviation of a crop's noise, in that of the channel",
    )
    log_gamma: float = Field(
        0.2, ge=0, le=100, description="gamma is drawn from exp(-log_gamma) to exp(log_gamma)"
    )
    contrast: float = Field(
        0.1, ge=0, le=1, description="largest change of a crop's contrast about its mean"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "VoCoSettings":
        if min(self.grid, default=0) < 1 or math.prod(self.grid) < 2:
            raise ValueError(
                f'"grid" must be positive integers that give two base crops at least, got '
                f"{list(self.grid)}"
            )
        if min(self.cell_size, default=0) < 1:
            raise ValueError(f'"cell_size" must be positive integers, got {list(self.cell_size)}')
        if self.inter_weight and self.form == "cvpr":
            raise ValueError('the form "cvpr" has no inter term: set "inter_weight" to 0')
        if self.inter_weight and self.batch_size < 2:
            raise ValueError(
                'the inter term compares an image with the next one, and "batch_size" is 1: '
                'enlarge it, or set "inter_weight" to 0'
            )
        if not self.intra_weight + self.inter_weight > 0:
            raise ValueError(
                '"intra_weight" and "inter_weight" are both 0: there is nothing to learn'
            )
        return self

    @property
    def num_bases(self) -> int:
        """Base crops of an image."""
        return math.prod(self.grid)

    @property
    def intensities(self) -> CorruptionRanges:
        """How crops are changed; nothing in them moves or is removed."""
        return CorruptionRanges(
            swapped_part=0.0,
            patch_part=1.0,
            num_cut_outs=0,
            cut_out_part=1.0,
            blur_sigma=self.blur_sigma,
            noise_std=self.noise_std,
            log_gamma=self.log_gamma,
            contrast=self.contrast,
        )


def defaults(facts: PlanFacts) -> dict[str, Any]:
    """What follows from the plan."""
    return {
        "batch_size": 16 if facts.num_axes == 2 else 8,
        "grid": grid_of(facts, CELLS_IN_PLANE),
        "cell_size": tuple(-(-3 * size // 4) for size in facts.patch_size),
        "view_size": tuple(
            nearest_multiple(0.5 * size, stride, least=2)
            for size, stride in zip(facts.patch_size, facts.total_stride, strict=True)
        ),
    }


def grid_of(facts: PlanFacts, cells: int) -> tuple[int, ...]:
    """So many cells per axis of the plane, one across it.

    Across is the axis that the plan pools least, for it has the fewest or the thickest slices;
    among equals the one of the largest spacing, and then the first.
    """
    if facts.num_axes == 2:
        return (cells, cells)
    across = min(range(3), key=lambda axis: (facts.total_stride[axis], -facts.spacing[axis]))
    return tuple(1 if axis == across else cells for axis in range(3))


def cvpr_settings(facts: PlanFacts) -> dict[str, Any]:
    """The settings of the conference's form."""
    return {
        "form": "cvpr",
        "grid": grid_of(facts, 4),
        "num_queries": 2,
        "embedding_size": 2048,
        "feature_dropout": 0.0,
        "inter_weight": 0.0,
    }
