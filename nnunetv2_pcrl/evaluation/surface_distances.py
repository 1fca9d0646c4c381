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
    directions = [_distances(*surfaces), _distances(*reversed(surfaces))]
    return SurfaceDistances(
        float(max(np.percentile(values, PERCENT) for values in directions)),
        float(np.concatenate(directions).mean()),
    )


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Of what is true; distances depend on nothing outside of it."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        (where,) = np.nonzero(mask.any(axis=others))
        box.append(slice(where[0], where[-1] + 1))
    return tuple(box)


def _surface(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> SimpleITK.Image:
    # Padded: ITK takes what lies beyond the image for more of the object.
    image = SimpleITK.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    # SimpleITK counts axes backwards.
    image.SetSpacing([float(value) for value in reversed(spacing_mm)])
    return SimpleITK.BinaryContour(
        image, fullyConnected=False, backgroundValue=0, foregroundValue=1
    )


def _distances(start: SimpleITK.Image, end: SimpleITK.Image) -> np.ndarray:
    """Of every voxel of one surface to the nearest of the other, shape [N]."""
    # One map at a time, and no copy of it: they are the largest arrays here.
    distances = SimpleITK.SignedMaurerDistanceMap(
        end, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    is_surface = SimpleITK.GetArrayViewFromImage(start) > 0
    return np.abs(SimpleITK.GetArrayViewFromImage(distances)[is_surface])
