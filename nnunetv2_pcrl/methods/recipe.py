"""What the recipes of methods share: settings, and the spacing that views are placed in."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from nnunetv2_pcrl.methods.settings import PretrainingSettings

S = TypeVar("S", bound=PretrainingSettings)


@dataclass(frozen=True)
class SettingsRecipe(Generic[S]):
    """A recipe that follows a method's settings; a subclass draws.

    Attributes:
        settings: sizes, ranges and chances.
        spacing: mm per voxel, per axis in plan order; rotations are rigid in mm.
    """

    settings: S
    spacing: tuple[float, ...]

    @property
    def num_axes(self) -> int:
        """2 or 3."""
        return len(self.spacing)
