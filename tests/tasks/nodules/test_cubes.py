"""Cubes, and how they are read by the names of candidates."""

import pickle

import numpy as np
import pytest
import torch
from preprocessed_scans import painted, preprocess

from nnunetv2_pcrl.datasets.candidates import candidate_classes
from nnunetv2_pcrl.datasets.positions import Positions
from nnunetv2_pcrl.tasks.nodules import candidate_reader as reader_module
from nnunetv2_pcrl.tasks.nodules.candidate_reader import CandidateReader
from nnunetv2_pcrl.tasks.nodules.cubes import ImageInMemory, cube_size, cut_cube
from nnunetv2_pcrl.views.cases import PreprocessedCase

LPS = (1, 0, 0, 0, 1, 0, 0, 0, 1)
MARKERS = {"a": (8, 13, 24), "b": (12, 10, 11)}


@pytest.mark.parametrize(
    ("size_mm", "spacing", "multiple", "expected"),
    [
        (32, (1, 1, 1), 1, (32, 32, 32)),
        (40, (2.5, 0.7, 0.7), 1, (16, 57, 57)),
        (40, (2.5, 0.7, 0.7), 8, (16, 64, 64)),
        (1, (5, 0.5, 0.5), 1, (1, 2, 2)),
    ],
)
def test_a_cube_has_the_asked_size_in_mm(size_mm, spacing, multiple, expected):
    assert cube_size(size_mm, spacing, multiple) == expected


def test_a_cube_of_a_flat_configuration_or_without_size_is_refused():
    with pytest.raises(ValueError, match="3d_fullres or 3d_lowres"):
        cube_size(32, (1, 1))
    with pytest.raises(ValueError, match="has no size"):
        cube_size(0, (1, 1, 1))


@pytest.fixture
def case(tmp_path, write_case):
    image = np.arange(2 * 5 * 6 * 7, dtype=np.float32).reshape(2, 5, 6, 7) + 1
    write_case(tmp_path, "c", image)
    return PreprocessedCase(tmp_path, "c"), image


def test_a_cube_is_a_part_of_the_case(case):
    case, image = case
    cube = cut_cube(case, np.array([2.4, 2.6, 3.0]), (3, 3, 5))
    np.testing.assert_array_equal(cube.numpy(), image[:, 1:4, 2:5, 1:6])


def test_a_cube_at_the_border_is_filled_up_with_zeros(case):
    case, image = case
    cube = cut_cube(case, np.array([0.0, 5.0, 3.0]), (3, 3, 3)).numpy()
    np.testing.assert_array_equal(cube[:, 1:, :2], image[:, :2, 4:6, 2:5])
    assert not cube[:, 0].any() and not cube[:, :, 2].any()


def test_an_image_in_memory_gives_the_cubes_of_its_file(case):
    case, image = case
    voxel, size = np.array([0.0, 5.0, 3.4]), (3, 4, 5)
    in_memory = cut_cube(ImageInMemory(torch.from_numpy(image)), voxel, size)
    torch.testing.assert_close(in_memory, cut_cube(case, voxel, size))


def test_a_cube_outside_of_the_case_is_zero(case):
    assert not cut_cube(case[0], np.array([50.0, -50.0, 3.0]), (3, 3, 3)).any()


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two preprocessed scans, and a candidate on the painted voxel of each beside another."""
    folder = tmp_path_factory.mktemp("scans")
    rows = []
    for name, marker in MARKERS.items():
        image, _ = preprocess(
            folder,
            name,
            painted(marker),
            (0.7, 0.8, 1.25),
            LPS,
            (1.0, 1.0, 1.0),
            [0, 1, 2],
            "SimpleITKIOWithReorient",
        )
        rows.append((name, image.TransformIndexToPhysicalPoint(marker[::-1]), 1))
        rows.append((name, image.TransformIndexToPhysicalPoint((18, 18, 18)), 0))
    return folder, Positions(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows], dtype=float),
    )


def reader_of(scans) -> CandidateReader:
    return CandidateReader(*scans, size=(5, 5, 5), transpose_forward=[0, 1, 2])


def test_a_candidate_is_called_by_its_scan_and_row_and_lies_in_the_centre_voxel(scans):
    table = candidate_classes(scans[1])
    assert table.identifiers == ("a:0", "a:1", "b:2", "b:3")
    assert table.patients == ("a", "a", "b", "b")
    for name, target in zip(table.identifiers, table.targets[:, 0], strict=True):
        ((same, cube),) = reader_of(scans).inputs(name)
        assert same == name and cube.shape == (1, 5, 5, 5)
        assert (cube.argmax() == 62) == (target == 1)


def test_few_cases_stay_open_and_none_goes_to_other_processes(scans, monkeypatch):
    monkeypatch.setattr(reader_module, "MAX_OPEN_CASES", 1)
    reader = reader_of(scans)
    first, _, again = (next(reader.inputs(name))[1] for name in ("a:0", "b:2", "a:0"))
    torch.testing.assert_close(first, again)
    assert len(reader._opened) == 1
    assert not pickle.loads(pickle.dumps(reader))._opened


def test_a_damaged_scan_is_named_with_the_remedy(scans, tmp_path):
    folder, positions = scans
    for ending in (".pkl", ".b2nd"):
        (tmp_path / f"a{ending}").write_bytes((folder / f"a{ending}").read_bytes())
    (tmp_path / "a.b2nd").write_bytes(b"damaged")
    reader = CandidateReader(tmp_path, positions, (5, 5, 5), [0, 1, 2])
    with pytest.raises(ValueError, match="a of .*: its file cannot be.*Preprocess it again"):
        next(reader.inputs("a:0"))
