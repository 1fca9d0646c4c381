"""Settings of RepRec-style pretraining, and those that follow from the plan."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from nnunetv2_pcrl.methods.image_contrast import ContrastSettings
from nnunetv2_pcrl.methods.plan_facts import PlanFacts

# Channels of an attention head.
HEAD_WIDTH = 32


class RepRecSettings(ContrastSettings):
    """Everything that RepRec-style pretraining depends on besides the data and the plan."""

    batch_size: int = Field(
        8, ge=2, description="images told apart from one another, 32 in 2D; below 8 the log warns"
    )
    view_size: tuple[int, ...] = Field(
        description="voxels of a view; by default the planned patch, cut to a multiple of the "
        "total stride"
    )
    contrastive_part: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="part of the training in which images are told apart; in the rest masked "
        "representations are recovered",
    )
    mask_ratio: float = Field(0.6, gt=0, lt=1, description="part of the tokens that is hidden")
    predictor_width: int = Field(
        256, ge=HEAD_WIDTH, description="of the transformer; a multiple of 32"
    )
    predictor_depth: int = Field(3, ge=1, description="layers of the transformer")
    teacher_momentum: float = Field(
        0.99,
        ge=0,
        le=1,
        description="of the teacher where recovery begins; it rises to 1 by a half cosine",
    )

    @field_validator("predictor_width")
    @classmethod
    def _is_multiple(cls, value: int) -> int:
        if value % HEAD_WIDTH:
            raise ValueError(
                f'"predictor_width" must be a multiple of {HEAD_WIDTH}, the width of a head, got '
                f"{value}"
            )
        return value


def defaults(facts: PlanFacts, given: Mapping[str, Any]) -> dict[str, Any]:
    """Views of the whole patch, so that there are tokens enough; images in 2D are small."""
    return {"batch_size": 32 if facts.num_axes == 2 else 8, "view_size": facts.whole_patch}
