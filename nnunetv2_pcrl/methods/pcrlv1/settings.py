"""Settings of PCRLv1, and those that follow from the plan."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from nnunetv2_pcrl.methods.plan_facts import PlanFacts, nearest_multiple
from nnunetv2_pcrl.methods.settings import DistortionSettings, PairSettings


class PCRLv1Settings(DistortionSettings, PairSettings):
    """Everything that PCRLv1 depends on besides the data and the plan."""

    batch_size: int = Field(16, ge=2, description="images of a step, 64 in 2D")
    initial_lr: float = Field(
        1e-3, ge=0, le=100, description="learning rate of the first epoch, 1e-2 in 2D"
    )
    view_size: tuple[int, ...] = Field(
        description="voxels of a view; by default the multiple of the total stride nearest to 3/4 "
        "of the patch"
    )
    min_iou: float = Field(0.25, ge=0, le=0.95, description="least IoU of the two boxes")
    noise_std: float = Field(0.0, ge=0, le=100, description="largest standard deviation of noise")
    log_gamma: float = Field(
        0.0, ge=0, le=100, description="gamma is drawn from exp(-log_gamma) to exp(log_gamma)"
    )
    contrast: float = Field(
        0.0, ge=0, le=1, description="largest change of contrast about the mean"
    )
    p_curve: float = Field(
        0.0, ge=0, le=1, description="chance that intensities are bent along a random curve"
    )
    queue_size: int = Field(
        1024, ge=1, description="earlier keys that a view is told apart from, the batch at least"
    )
    temperature: float = Field(0.2, gt=0, le=100, description="of the similarities")
    embedding_size: int = Field(128, ge=2, description="of a view")
    teacher_momentum: float = Field(0.999, ge=0, le=1, description="of the teacher, per step")
    contrast_weight: float = Field(
        1.0, ge=0, le=100, description="of the contrast in the loss; 0 ablates it"
    )
    restoration_weight: float = Field(
        1.0, gt=0, le=100, description="of the mean of both restorations, which train the decoder"
    )

    @model_validator(mode="after")
    def _holds_a_batch(self) -> "PCRLv1Settings":
        if self.queue_size < self.batch_size:
            raise ValueError(
                f'"queue_size" {self.queue_size} must hold the keys of a batch of '
                f"{self.batch_size} at least; enlarge it"
            )
        return self


def defaults(facts: PlanFacts, given: Mapping[str, Any]) -> dict[str, Any]:
    """Views of 3/4 of the patch, within it, three strides at least; the authors' batch for 2D."""
    sizes = []
    for size, stride in zip(facts.patch_size, facts.total_stride, strict=True):
        largest = max(1, size // stride) * stride
        sizes.append(min(largest, nearest_multiple(0.75 * size, stride, least=3)))
    values: dict[str, Any] = {"view_size": tuple(sizes)}
    if facts.num_axes == 2:
        # Small images; the learning rate is that of PCRLv2's authors, who begin likewise.
        values |= {"batch_size": 64, "initial_lr": 1e-2}
    return values
