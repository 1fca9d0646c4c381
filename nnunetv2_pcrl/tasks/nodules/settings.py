"""Settings of the nodule trainers, taken from the plans file and from trainer names."""

from math import prod

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from pydantic import Field

from nnunetv2_pcrl.settings.plans_file import NODULES
from nnunetv2_pcrl.tasks.encoder.settings import EncoderSettings
from nnunetv2_pcrl.tasks.encoder.task import Task
from nnunetv2_pcrl.tasks.nodules.batches import MAX_NEGATIVES, MIN_NEGATIVES
from nnunetv2_pcrl.tasks.nodules.cubes import cube_size

# More make a step slower, and gain little where there are a thousand nodules.
MAX_CUBES_PER_STEP = 96


class NoduleSettings(EncoderSettings):
    """What the nodule trainers read from the plans file, section "nodules"."""

    batch_size: int | None = Field(
        None,
        ge=1,
        description="cubes of a step, of all processes together, a multiple of one nodule and its "
        f"others; null: as many voxels as in a classification, {MAX_CUBES_PER_STEP} cubes at most",
    )
    cube_mm: float = Field(40.0, gt=0, le=1000, description="edge of the cubes, mm")
    negatives_per_positive: int = Field(
        2,
        ge=MIN_NEGATIVES,
        le=MAX_NEGATIVES,
        description="other candidates for each nodule in a batch",
    )
    max_shift_mm: float = Field(
        1.0,
        ge=0,
        le=100,
        description="largest shift of a training cube along each axis, in whole voxels; the "
        "smallest nodules of LUNA16 have a radius of 1.5 mm",
    )
    max_val_candidates: int = Field(
        2000,
        ge=1,
        description="candidates without a nodule that are scored after every epoch, always the "
        "same ones, beside all nodules of the validation scans; after the training all are",
    )

    def cube_voxels(self, plan: ConfigurationManager) -> tuple[int, ...]:
        """Voxels per axis of a cube, (D, H, W).

        Raises:
            ValueError: for a flat configuration.
        """
        return cube_size(self.cube_mm, plan.spacing)

    def images_per_step(self, plan: ConfigurationManager) -> int:
        """Cubes of a step, of all processes together.

        Args:
            plan: nnU-Net's configuration.

        Raises:
            ValueError: if the batch size cannot keep the ratio, or for a flat configuration.
        """
        size = self.cube_voxels(plan)
        group = 1 + self.negatives_per_positive
        if self.batch_size is None:
            cubes = super().images_per_step(plan) * prod(plan.patch_size) // prod(size)
            return max(1, min(cubes, MAX_CUBES_PER_STEP) // group) * group
        if self.batch_size % group:
            raise ValueError(
                f'"batch_size" {self.batch_size} (settings in section "{NODULES}") is no multiple '
                f"of {group}, one nodule with {self.negatives_per_positive} others. Use "
                f"{max(1, round(self.batch_size / group)) * group}."
            )
        return self.batch_size


NODULE_TRAININGS = Task(
    "Nodule",
    "a nodule training",
    NODULES,
    NoduleSettings,
    "nnUNetv2_pcrl_predict_nodules",
)
