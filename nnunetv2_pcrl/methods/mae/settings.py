"""Settings of masked autoencoding, and the size of its blocks for a plan."""

import math
from collections.abc import Sequence

from pydantic import Field

from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.settings import PatchSettings

# Blocks have about this part of the patch's side, as those of 16 voxels of patches of 160.
BLOCK_PART = 0.1


class MAESettings(PatchSettings):
    """Everything that masked autoencoding depends on besides the data and the plan."""

    block_size: tuple[int, ...] = Field(
        description="voxels of a hidden block; by default the total stride of the stage nearest "
        "to a tenth of the patch"
    )
    mask_ratio: float = Field(0.75, gt=0, lt=1, description="part of the blocks that is hidden")
    densified: bool = Field(
        False,
        description="fill in the encoder's maps where a stage saw nothing, before the decoder "
        "reads them; the encoder alone is then kept",
    )


def block_size_of(facts: PlanFacts) -> tuple[int, ...]:
    """The total stride of the stage that is nearest to a tenth of the patch, on all axes together.

    So blocks align with the grids of all finer stages, and no stage is without visible voxels.
    """

    def distance(strides: Sequence[int]) -> float:
        aims = (BLOCK_PART * size for size in facts.patch_size)
        return sum(abs(math.log(s / a)) for s, a in zip(strides, aims, strict=True))

    return min(facts.total_strides, key=distance)
