import math
import tracemalloc

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from nnunetv2_pcrl.evaluation.surface_distances import SurfaceDistances, surface_distances


def box(start: int, stop: int, width: int = 4) -> np.ndarray:
    mask = np.zeros((12, 8, 9), bool)
    mask[start:stop, 2 : 2 + width, 3 : 3 + width] = True
    return mask


def test_two_shifted_boxes_in_anisotropic_spacing_by_hand():
    # Boxes 1 x 4 x 4, three slices of 2 mm apart: every voxel is on the surface and 6 mm away.
    assert surface_distances(box(2, 3), box(5, 6), (2.0, 0.5, 0.5)) == SurfaceDistances(6, 6)
    # Bars 4 x 1 x 1 shifted by one voxel of 2 mm: per bar three voxels at 0 mm and one at 2 mm.
    found = surface_distances(box(2, 6, 1), box(3, 7, 1), (2.0, 0.5, 0.5))
    assert found.average_mm == pytest.approx(2 / 4)
    # The 95th percentile of 0, 0, 0, 2 lies at 0.85 of the last step.
    assert found.hausdorff_mm == pytest.approx(0.85 * 2)


def test_equal_masks_are_at_no_distance_at_the_images_end_too():
    full = np.ones((3, 4, 5), bool)
    assert surface_distances(full, full, (1.0, 2.0, 3.0)) == SurfaceDistances(0, 0)
    # Only at the border is a voxel of a full image on the surface: its middle is 1 mm from there.
    middle = np.zeros((3, 3, 3), bool)
    middle[1, 1, 1] = True
    found = surface_distances(np.ones((3, 3, 3), bool), middle, (1.0, 1.0, 1.0))
    assert found.average_mm == pytest.approx(
        (6 + 12 * math.sqrt(2) + 8 * math.sqrt(3) + 1) / (26 + 1), abs=1e-5
    )


@pytest.mark.parametrize("spacing", [(1.5, 0.7), (3.0, 0.8, 0.9)])
def test_distances_are_those_of_all_pairs_of_surface_voxels(spacing):
    random = np.random.default_rng(0)
    shape = (14, 15, 13)[: len(spacing)]
    masks = [ndimage.gaussian_filter(random.normal(size=shape), 1.5) > 0.05 for _ in range(2)]
    points = [
        np.argwhere(mask & ~ndimage.binary_erosion(mask, border_value=0)) * spacing
        for mask in masks
    ]
    pairs = cdist(*points)
    nearest = [pairs.min(1), pairs.min(0)]
    found = surface_distances(*masks, spacing)
    assert found.average_mm == pytest.approx(np.concatenate(nearest).mean(), rel=1e-5)
    expected = max(np.percentile(distances, 95) for distances in nearest)
    assert found.hausdorff_mm == pytest.approx(expected, rel=1e-5)


def test_an_empty_mask_has_no_distance():
    empty = np.zeros_like(box(2, 3))
    assert math.isnan(surface_distances(empty, empty, (1.0,) * 3).hausdorff_mm)
    assert surface_distances(box(2, 3), empty, (1.0,) * 3) == SurfaceDistances(math.inf, math.inf)
    assert surface_distances(empty, box(2, 3), (1.0,) * 3) == SurfaceDistances(math.inf, math.inf)


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shape \(12, 8, 9\), the prediction \(11, 8, 9\)"):
        surface_distances(box(2, 3), box(2, 3)[1:], (1.0,) * 3)


def test_arrays_of_a_large_mask_take_few_bytes_per_voxel():
    mask = np.ones((80, 80, 80), bool)
    tracemalloc.start()
    surface_distances(mask, mask, (1.0,) * 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Indices of all voxels alone would be 24 bytes each.
    assert peak < 8 * mask.size
