"""A painted voxel lands in the centre of its cube, whatever nnU-Net did to the scan before."""

import numpy as np
import pytest
from batchgenerators.utilities.file_and_folder_operations import load_pickle
from preprocessed_scans import painted, preprocess

from nnunetv2_pcrl.datasets.world import points_of, voxels_of
from nnunetv2_pcrl.tasks.nodules.cubes import cube_size, cut_cube
from nnunetv2_pcrl.tasks.nodules.geometry import CaseGeometry
from nnunetv2_pcrl.views.cases import PreprocessedCase

LPS = (1, 0, 0, 0, 1, 0, 0, 0, 1)
FLIPPED = (-1, 0, 0, 0, -1, 0, 0, 0, 1)
UPSIDE_DOWN = (1, 0, 0, 0, -1, 0, 0, 0, -1)
PERMUTED = (0, 1, 0, 0, 0, -1, -1, 0, 0)
ANGLE = np.deg2rad(12)
OBLIQUE = (np.cos(ANGLE), -np.sin(ANGLE), 0, np.sin(ANGLE), np.cos(ANGLE), 0, 0, 0, 1)
directions = pytest.mark.parametrize(
    "direction",
    [LPS, FLIPPED, UPSIDE_DOWN, PERMUTED, OBLIQUE],
    ids=["LPS", "flipped", "upside down", "permuted", "oblique"],
)
# Spacing of the scan (x, y, z), mm, that of the plans over it (transposed), the transposition.
GRIDS = {
    "isotropic": ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), [0, 1, 2]),
    "finer": ((0.9, 0.8, 1.2), (0.55, 0.47, 0.6), [0, 1, 2]),
    "coarser and transposed": ((0.7, 0.8, 1.25), (1.3, 1.2, 1.1), [1, 0, 2]),
    "anisotropic": ((0.7, 0.7, 4.0), (1.0, 1.1, 0.9), [0, 1, 2]),
    "anisotropic and transposed": ((3.0, 0.7, 0.8), (1.2, 0.8, 1.1), [2, 0, 1]),
}
grids = pytest.mark.parametrize("grid", GRIDS)


def prepared(folder, grid, direction, reader, index_zyx):
    spacing, zoom, transpose = GRIDS[grid]
    image, plans = preprocess(
        folder, "scan", painted(index_zyx), spacing, direction, zoom, transpose, reader
    )
    case = PreprocessedCase(folder, "scan")
    properties = load_pickle(str(folder / "scan.pkl"))
    geometry = CaseGeometry.of(properties, plans["transpose_forward"], case.image_size)
    index_xyz = [int(i) for i in index_zyx[::-1]]
    point = np.array([image.TransformIndexToPhysicalPoint(index_xyz)])
    return case, geometry, point, plans["configurations"]["3d_fullres"]["spacing"]


@pytest.mark.parametrize("reader", ["SimpleITKIO", "SimpleITKIOWithReorient"])
@grids
@directions
def test_a_painted_voxel_lands_in_the_centre_of_its_cube(tmp_path, grid, direction, reader):
    # A place of its own on every axis, so that no swap or flip of axes goes unseen.
    case, geometry, point, spacing = prepared(tmp_path, grid, direction, reader, (8, 13, 24))
    size = cube_size(9.0, spacing)
    cube = cut_cube(case, geometry.voxels(point)[0], size)[0].numpy()
    centre = tuple(n // 2 for n in size)
    assert cube.shape == size
    assert np.unravel_index(cube.argmax(), size) == centre


@grids
@directions
def test_the_way_from_the_world_to_voxels_and_back_is_exact(tmp_path, grid, direction):
    _, geometry, *_ = prepared(tmp_path, grid, direction, "SimpleITKIOWithReorient", (8, 13, 24))
    points = np.random.default_rng(0).uniform(-400, 400, (100, 3))
    back = geometry.points(geometry.voxels(points))
    assert np.abs(back - points).max() < 1e-6
    voxels = np.random.default_rng(1).uniform(-50, 50, (100, 3))
    assert np.abs(geometry.voxels(geometry.points(voxels)) - voxels).max() < 1e-6


@directions
def test_voxels_of_an_image_are_those_of_simpleitk(tmp_path, direction):
    image, _ = preprocess(
        tmp_path,
        "scan",
        painted((8, 13, 24)),
        (0.7, 0.8, 1.25),
        direction,
        (1.0, 1.0, 1.0),
        [0, 1, 2],
        "SimpleITKIO",
    )
    header = (image.GetOrigin(), image.GetSpacing(), image.GetDirection())
    points = np.random.default_rng(0).uniform(-300, 300, (20, 3))
    expected = [image.TransformPhysicalPointToContinuousIndex(p) for p in points.tolist()]
    voxels = voxels_of(points, *header)
    np.testing.assert_allclose(voxels, expected, atol=1e-6)
    assert np.abs(points_of(voxels, *header) - points).max() < 1e-6


def test_a_case_without_world_coordinates_is_refused():
    with pytest.raises(ValueError, match="Use the reader SimpleITKIO"):
        CaseGeometry.of({"spacing": [1, 1, 1]}, [0, 1, 2], (4, 4, 4))


def test_a_flat_case_is_refused():
    properties = {"sitk_stuff": {"spacing": (1, 1), "origin": (0, 0), "direction": (1, 0, 0, 1)}}
    with pytest.raises(ValueError, match="has 2 axes"):
        CaseGeometry.of(properties, [0, 1, 2], (1, 4, 4))
