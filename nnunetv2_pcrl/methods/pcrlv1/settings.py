"""Settings of PCRLv1, and those that follow from the plan."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator

from nnunetv2_pcrl.methods.plan_facts import PlanFacts, nearest_multiple
from nnunetv2_pcrl.methods.settings import DistortionSettings, PairSettings
from nnunetv2_pcrl.views.pairs import PairRanges


class PCRLv1Settings(DistortionSettings, PairSettings):
    """Everything that PCRLv1 depends on besides the data and the plan."""

    batch_size: int = Field(16, ge=2, description="images of a step, 64 in 2D")
    view_size: tuple[int, ...] = Field(
        description="voxels of a view; by default the multiple of the total stride nearest to 3/4 "
        "of the patch, three strides at least"
    )
    min_iou: float = Field(0.25, ge=0, le=0.95, description="least IoU of the two boxes")
    noise_std: float = Field(
        0.0, ge=0, le=100, description="largest standard deviation of noise, in that of the channel"
    )
    log_gamma: float = Field(
        0.0,
        ge=0,
        le=100,
        description="gamma is drawn from exp(-log_gamma) to exp(log_gamma); 0.3 in 2D",
    )
    contrast: float = Field(
        0.0, ge=0, le=1, description="largest change of contrast about the mean; 0.3 in 2D"
    )
    p_curve: float = Field(
        0.0, ge=0, le=1, description="chance that intensities are bent along a random curve"
    )
    p_shuffling: float = Field(
        0.5,
        ge=0,
        le=1,
        description="chance that voxels change places inside small windows; 0 in 2D",
    )
    p_painting: float = Field(
        0.9, ge=0, le=1, description="chance that a part is painted over; 0 in 2D"
    )
    p_transform: float = Field(
        0.5,
        ge=0,
        le=1,
        description="chance that a view is to be restored mirrored and turned, by its code, and "
        "not as it lies",
    )
    num_cut_outs: int = Field(0, ge=0, description="cut-outs of a view; 3 in 2D")
    cut_out_part: float = Field(
        1 / 7, gt=0, le=1, description="side of a cut-out over the side of the view"
    )
    queue_size: int = Field(
        1024,
        ge=1,
        description="earlier keys that a view is told apart from besides the batch's, the batch "
        "at least",
    )
    temperature: float = Field(0.2, gt=0, le=100, description="of the similarities")
    hidden_size: int = Field(512, ge=2, description="width of the projection's hidden layers")
    embedding_size: int = Field(128, ge=2, description="of a view")
    teacher_momentum: float = Field(
        0.99, ge=0, le=1, description="of the teacher at first; it rises to 1 by a half cosine"
    )
    contrast_weight: float = Field(
        1.0, ge=0, le=100, description="of the contrast in the loss; 0 ablates it"
    )
    restoration_weight: float = Field(
        1.0, gt=0, le=100, description="of the mean of both restorations, which train the decoder"
    )

    def pair_ranges(self, spacing: tuple[float, ...]) -> PairRanges:
        """How the views are drawn, cut-outs among it."""
        ranges = super().pair_ranges(spacing)
        corruption = replace(
            ranges.corruption, num_cut_outs=self.num_cut_outs, cut_out_part=self.cut_out_part
        )
        return replace(ranges, corruption=corruption)

    @model_validator(mode="after")
    def _holds_a_batch(self) -> "PCRLv1Settings":
        if self.queue_size < self.batch_size:
            raise ValueError(
                f'"queue_size" {self.queue_size} must hold the keys of a batch of '
                f"{self.batch_size} at least; enlarge it"
            )
        return self


def defaults(facts: PlanFacts, given: Mapping[str, Any]) -> dict[str, Any]:
    """Views of 3/4 of the patch, three strides at least; batch and distortions of each dimension.

    In 2D they are the authors': cut-outs, and changes of intensity.
    """
    sizes = []
    for size, stride in zip(facts.patch_size, facts.total_stride, strict=True):
        largest = max(1, size // stride) * stride
        sizes.append(min(largest, nearest_multiple(0.75 * size, stride, least=3)))
    values: dict[str, Any] = {"view_size": tuple(sizes)}
    if facts.num_axes == 2:
        values |= {
            "batch_size": 64,
            "p_shuffling": 0.0,
            "p_painting": 0.0,
            "num_cut_outs": 3,
            "log_gamma": 0.3,
            "contrast": 0.3,
        }
    return values
