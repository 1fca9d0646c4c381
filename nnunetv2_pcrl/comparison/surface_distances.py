"""Distances between the surfaces of a reference and a prediction, by SimpleITK's distance maps."""

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK

PERCENT = 95


@dataclass(frozen=True)
class SurfaceDistances:
    """How far two segmentations of one object lie apart.

    NaN if both are empty, infinity if one of them is: there is no distance then.

    Attributes:
        hausdorff_mm: 95 % Hausdorff distance.
        average_mm: average symmetric surface distance.
    """

    hausdorff_mm: float
    average_mm: float


def surface_distances(
    reference: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]
) -> SurfaceDistances:
    """Distances of two masks.

    A voxel is on the surface if a face of it borders on a voxel outside, or on the image's end. The
    distance of a surface voxel is that of its centre to the nearest centre of the other surface.

    Args:
        reference: boolean mask, shape [(D,) H, W].
        prediction: likewise.
        spacing_mm: of the voxels, in the order of the axes.

    Returns:
        The larger of both directions' 95th percentiles, and the mean over all surface voxels of
        both.

    Raises:
        ValueError: if the shapes differ.

    Source: Taha and Hanbury 2015, doi:10.1186/s12880-015-0068-x, for the definitions.
    """
    if reference.shape != prediction.shape:
        raise ValueError(
            f"the reference has shape {reference.shape}, the prediction {prediction.shape}"
        )
    if not reference.any() and not prediction.any():
        return SurfaceDistances(math.nan, math.nan)
    if not reference.any() or not prediction.any():
        return SurfaceDistances(math.inf, math.inf)
    box = _bounding_box(reference | prediction)
    surfaces = [_surface(mask[box], spacing_mm) for mask in (reference, prediction)]
    maps = [_distances_to(surface) for surface in surfaces]
    masks = [SimpleITK.GetArrayViewFromImage(surface) > 0 for surface in surfaces]
    directions = [maps[1][masks[0]], maps[0][masks[1]]]
    return SurfaceDistances(
        float(max(np.percentile(values, PERCENT) for values in directions)),
        float(np.concatenate(directions).mean()),
    )


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Of what is true; distances depend on nothing outside of it."""
    return tuple(slice(where.min(), where.max() + 1) for where in np.nonzero(mask))


def _surface(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> SimpleITK.Image:
    # Padded: ITK takes what lies beyond the image for more of the object.
    image = SimpleITK.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    # SimpleITK counts axes backwards.
    image.SetSpacing([float(value) for value in reversed(spacing_mm)])
    return SimpleITK.BinaryContour(
        image, fullyConnected=False, backgroundValue=0, foregroundValue=1
    )


def _distances_to(surface: SimpleITK.Image) -> np.ndarray:
    distances = SimpleITK.SignedMaurerDistanceMap(
        surface, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    return np.abs(SimpleITK.GetArrayFromImage(distances))
