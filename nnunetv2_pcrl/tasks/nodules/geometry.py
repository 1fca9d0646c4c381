"""Where a point of the world lies in a case as nnU-Net preprocessed it, and the way back.

nnU-Net reads an image (maybe reoriented), transposes its axes, crops it to what is not zero and
resamples it so that the outer borders of the first and last voxels stay where they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2_pcrl.datasets.world import points_of, voxels_of


@dataclass(frozen=True)
class CaseGeometry:
    """What was done to a case before its voxels lay in the preprocessed array.

    Attributes:
        origin, spacing, direction: of the image as it was read, mm, in the order x, y, z.
        transpose_forward: of the plans; axis i of the transposed image is axis
            `transpose_forward[i]` of the read one, whose order is z, y, x.
        crop_start: first voxel of the crop per transposed axis.
        crop_size: voxels of the crop per transposed axis.
        size: voxels of the preprocessed case, (D, H, W).
    """

    origin: tuple[float, ...]
    spacing: tuple[float, ...]
    direction: tuple[float, ...]
    transpose_forward: tuple[int, ...]
    crop_start: tuple[int, ...]
    crop_size: tuple[int, ...]
    size: tuple[int, ...]

    @classmethod
    def of(
        cls,
        properties: Mapping[str, Any],
        transpose_forward: Sequence[int],
        size: Sequence[int],
    ) -> "CaseGeometry":
        """Reads the geometry of a case out of what nnU-Net keeps of it.

        Args:
            properties: of CASE.pkl.
            transpose_forward: of the plans.
            size: voxels of the preprocessed case, (D, H, W).

        Raises:
            ValueError: if the case is flat, or was read by another reader than SimpleITK's.
        """
        world = properties.get("sitk_stuff")
        if world is None:
            raise ValueError(
                "The case keeps no world coordinates of SimpleITK. Use the reader SimpleITKIO or "
                "SimpleITKIOWithReorient (overwrite_image_reader_writer in dataset.json)."
            )
        if len(world["spacing"]) != 3:
            raise ValueError(
                f"The case has {len(world['spacing'])} axes; candidates lie in volumes of 3."
            )
        crop = properties["bbox_used_for_cropping"]
        return cls(
            tuple(world["origin"]),
            tuple(world["spacing"]),
            tuple(world["direction"]),
            tuple(transpose_forward),
            tuple(int(start) for start, _ in crop),
            tuple(int(n) for n in properties["shape_after_cropping_and_before_resampling"]),
            tuple(int(n) for n in size),
        )

    @property
    def _zoom(self) -> np.ndarray:
        return np.array(self.size) / np.array(self.crop_size)

    def voxels(self, points_mm: np.ndarray) -> np.ndarray:
        """Voxel coordinates in the preprocessed case, (D, H, W); whole numbers are centres.

        Args:
            points_mm: world coordinates, shape [N, 3], mm.

        Returns:
            Shape [N, 3], outside of the case too.
        """
        read = voxels_of(points_mm, self.origin, self.spacing, self.direction)[:, ::-1]
        cropped = read[:, list(self.transpose_forward)] - np.array(self.crop_start)
        return (cropped + 0.5) * self._zoom - 0.5

    def points(self, voxels: np.ndarray) -> np.ndarray:
        """World coordinates of voxel coordinates, shape [N, 3], mm: the way back of `voxels`."""
        cropped = (np.asarray(voxels, np.float64) + 0.5) / self._zoom - 0.5
        read = np.empty_like(cropped)
        read[:, list(self.transpose_forward)] = cropped + np.array(self.crop_start)
        return points_of(read[:, ::-1], self.origin, self.spacing, self.direction)
