"""Settings of PCRLv2, and those that follow from the planned patch."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from nnunetv2_pcrl.methods.pcrlv2.network import HeadsName
from nnunetv2_pcrl.methods.plan_facts import PlanFacts, nearest_multiple
from nnunetv2_pcrl.methods.settings import DeformationSettings, PretrainingSettings
from nnunetv2_pcrl.views.corruption import CorruptionRanges

Range = tuple[float, float]
# Below it, the comparison hardly teaches anything.
SMALL_COMPARISON_BATCH = 8


class PCRLv2Settings(DeformationSettings, PretrainingSettings):
    """Everything that a PCRLv2 pretraining depends on besides the data and the plan.

    Sizes are in voxels per axis, in plan order (D,) H, W.
    """

    batch_size: int = Field(
        16, ge=2, description="images compared with one another; below 8 the log warns"
    )
    global_size: tuple[int, ...] = Field(
        description="global view; by default the multiple of the total stride nearest to 3/4 of "
        "the patch, three strides at least"
    )
    local_size: tuple[int, ...] = Field(
        description="local view; by default the multiple of the total stride nearest to half the "
        "global view, two strides at least"
    )
    num_local: int = Field(6, ge=1, description="local views per image")
    global_scale: Range = Field(
        (1.0, 1.75), description="crop size over view size of a global view, lowest and highest"
    )
    depth_scale: Range | None = Field(
        None,
        description="the same of a global view along its first axis in 3D; null: as on the others",
    )
    mirrored_axes: tuple[int, ...] | None = Field(
        None, description="axes that may be mirrored, 0 the first; null: all"
    )
    local_scale: Range = Field(
        (0.5, 1.0), description="crop size over view size of a local view, lowest and highest"
    )
    min_iou: float = Field(0.3, ge=0, le=0.95, description="least IoU of the global boxes")
    swapped_part: float = Field(
        0.2,
        ge=0,
        le=1,
        description="part of a global view's voxels that patch swaps touch; 0 in 2D",
    )
    patch_part: float = Field(
        0.1, ge=0.01, le=1, description="side of a swapped patch over the side of the view"
    )
    num_cut_outs: int = Field(0, ge=0, description="cut-outs of a global view; 3 in 2D")
    cut_out_part: float = Field(
        1 / 7, ge=0.01, le=1, description="side of a cut-out over the side of the view"
    )
    swaps_last: bool = Field(
        False, description="swap patches after blur, noise and gamma, so that they stay sharp"
    )
    normalize_views: bool = Field(
        False,
        description="give every channel of a corrupted view mean 0 and variance 1; what is "
        "restored stays as it is",
    )
    blur_sigma: float = Field(
        2.0, ge=0, le=100, description="largest Gaussian blur, in voxels of the view"
    )
    noise_std: float = Field(
        0.25,
        ge=0,
        le=100,
        description="largest standard deviation of noise, in that of the channel; 0 in 2D",
    )
    log_gamma: float = Field(
        0.3, ge=0, le=100, description="gamma is drawn from exp(-log_gamma) to exp(log_gamma)"
    )
    contrast: float = Field(
        0.0, ge=0, le=1, description="largest change of contrast about the mean; 0.4 in 2D"
    )
    # Chosen by results/balance.
    restoration_weight: float = Field(
        1.0, ge=0, le=100, description="of both restorations in the loss; 0 ablates them"
    )
    comparison_weight: float = Field(
        1.0, ge=0, le=100, description="of both comparisons in the loss; 0 ablates them"
    )
    restoration_heads: HeadsName = Field(
        "linear",
        description="one voxel wide and linear; or the authors', which in 3D end in a sigmoid over "
        "the channel's range",
    )
    shared_level: bool = Field(
        False,
        description="draw one level a step for all comparisons: less arithmetic, same expected "
        "loss, more variance",
    )

    @field_validator("global_scale", "depth_scale", "local_scale")
    @classmethod
    def _is_range(cls, value: Range | None, info: ValidationInfo) -> Range | None:
        if value is not None and not 0 < value[0] <= value[1]:
            raise ValueError(
                f'"{info.field_name}" must be [lowest, highest] with 0 < lowest <= highest, got '
                f"{list(value)}"
            )
        return value

    @model_validator(mode="after")
    def _learns_something(self) -> "PCRLv2Settings":
        if not self.restoration_weight + self.comparison_weight > 0:
            raise ValueError(
                '"restoration_weight" and "comparison_weight" are both 0: there is nothing to learn'
            )
        return self

    @property
    def corruption_ranges(self) -> CorruptionRanges:
        """The ranges of the global views' corruption."""
        names = [field.name for field in fields(CorruptionRanges)]
        return CorruptionRanges(**{name: getattr(self, name) for name in names})


def defaults(facts: PlanFacts, given: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from the plan, so that nobody has to choose view sizes.

    Args:
        facts: what the plan says.
        given: settings that replace the derived ones.
    """
    values: dict[str, Any] = {
        "global_size": tuple(map(global_view_size, facts.patch_size, facts.total_stride))
    }
    if facts.num_axes == 2:
        # The authors' 2D setting: cut-outs and intensity jitter instead of swaps, and a batch for
        # small images.
        values |= {
            "batch_size": 64,
            "swapped_part": 0.0,
            "num_cut_outs": 3,
            "noise_std": 0.0,
            "contrast": 0.4,
        }
    asked_for = given.get("global_size")
    # What is no size is refused later, with all other settings that do not fit.
    is_size = asked_for is not None and _is_size(asked_for, facts.num_axes)
    size: Any = asked_for if is_size else values["global_size"]
    values["local_size"] = tuple(map(local_view_size, size, facts.total_stride))
    return values


def global_view_size(patch: int, stride: int) -> int:
    """Multiple of the stride nearest to 3/4 of the patch, 3 strides at least, within the patch."""
    largest = max(1, patch // stride) * stride
    return min(largest, nearest_multiple(0.75 * patch, stride, least=3))


def local_view_size(global_size: int, stride: int) -> int:
    """Multiple of the stride nearest to half the global view, 2 strides at least."""
    return nearest_multiple(0.5 * global_size, stride, least=2)


def _is_size(value: Any, num_axes: int) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == num_axes
        and all(isinstance(v, int) for v in value)
    )
