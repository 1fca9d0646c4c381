"""LUNA16: layouts, its tables with voxels, and the subsets as folds."""

import json

import numpy as np
import pytest
import SimpleITK
from published import write_csv
from raw_images import ct_array, write_image
from shared_data import shared

from nnunetv2_pcrl.datasets.conversion import convert
from nnunetv2_pcrl.datasets.luna16 import find_luna16
from nnunetv2_pcrl.datasets.luna16_tables import rows_of
from nnunetv2_pcrl.datasets.positions import DIAMETER, read_positions

UIDS = [f"1.3.6.1.4.1.14519.5.2.1.6279.6001.10000000{i}" for i in range(4)]
SPACING, ORIGIN = (0.7, 0.8, 1.25), (-190.0, -180.0, -300.0)
FLIPPED = (-1, 0, 0, 0, -1, 0, 0, 0, 1)
POSITION = ["seriesuid", "coordX", "coordY", "coordZ"]


def write_scan(folder, uid: str, direction=None):
    return write_image(folder / f"{uid}.mhd", ct_array(), SPACING, ORIGIN, direction)


@pytest.fixture
def source(tmp_path):
    """Scans in two subsets, one of them in a folder of its own, and one that is flipped."""
    source = tmp_path / "LUNA16"
    write_scan(source / "subset0", UIDS[0])
    write_scan(source / "subset0" / UIDS[1], UIDS[1], FLIPPED)
    write_scan(source / "subset3" / "subset3", UIDS[2])
    write_scan(source / "seg-lungs-LUNA16", UIDS[0])
    return source


def world(index, direction=None) -> list[float]:
    image = SimpleITK.GetImageFromArray(ct_array())
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(direction or image.GetDirection())
    return list(image.TransformIndexToPhysicalPoint(index))


def test_scans_are_found_in_subsets_and_in_folders_of_their_own(source):
    benchmark = find_luna16(source)
    assert [case.identifier for case in benchmark.cases] == UIDS[:3]
    assert benchmark.folds == {UIDS[0]: 0, UIDS[1]: 0, UIDS[2]: 3}
    assert not benchmark.odd and len(benchmark.known) == 2


def test_scans_in_one_folder_are_found_without_folds(tmp_path):
    write_scan(tmp_path, UIDS[0])
    write_scan(tmp_path, UIDS[1])
    benchmark = find_luna16(tmp_path)
    assert len(benchmark.cases) == 2 and not benchmark.folds


def test_subsets_become_folds_of_which_the_damaged_scans_are_left_out(source, tmp_path):
    write_scan(source / "subset5", UIDS[3]).with_suffix(".raw").unlink()
    header = [*POSITION, "diameter_mm"]
    write_csv(source / "annotations.csv", [header, [UIDS[3], 0, 0, 0, 5], [UIDS[0], 1, 2, 3, 5]])
    convert(find_luna16(source), tmp_path / "out", True, 1)
    assert json.loads((tmp_path / "out" / "splits_final.json").read_text()) == [
        {"train": [UIDS[2]], "val": UIDS[:2]},
        {"train": UIDS[:2], "val": [UIDS[2]]},
    ]
    positions = read_positions(tmp_path / "out" / "annotations.csv", DIAMETER)
    assert positions.scans == (UIDS[0],)


def test_a_rerun_with_one_subset_left_removes_the_folds(source, tmp_path):
    convert(find_luna16(source), tmp_path / "out", True, 1)
    convert(find_luna16(source / "subset0"), tmp_path / "out", True, 1)
    assert not (tmp_path / "out" / "splits_final.json").exists()


@pytest.mark.parametrize("direction", [None, FLIPPED])
def test_positions_get_voxels_of_the_stored_scan_in_both_directions(source, direction):
    uid = UIDS[1] if direction else UIDS[0]
    rows = [[uid, *world((3, 4, 5), direction), 6.5], [UIDS[3], 1, 2, 3, 6.5]]
    write_csv(source / "annotations.csv", [[*POSITION, "diameter_mm"], *rows])
    benchmark = find_luna16(source)
    header, found = benchmark.tables["annotations.csv"]
    assert header[0] == "identifier" and header[-4:] == (
        "voxelX",
        "voxelY",
        "voxelZ",
        "diameter_mm",
    )
    assert found[0] == uid and found[-1] == 6.5
    np.testing.assert_allclose([float(value) for value in found[4:7]], (3, 4, 5), atol=1e-6)
    assert benchmark.missing == {
        "rows of annotations.csv": "2 were found, LUNA16 has 1186",
        "scans of annotations.csv": "1 of 2 are not there",
    }


def test_the_second_version_of_the_candidates_is_taken(source):
    for name, label in (("candidates.csv", 0), ("candidates_V2.csv", 1)):
        write_csv(source / "tables" / name, [[*POSITION, "class"], [UIDS[0], 1, 2, 3, label]])
    benchmark = find_luna16(source)
    assert benchmark.tables["candidates.csv"][1][-1] == 1
    assert len(benchmark.known) == 4
    (source / "tables" / "candidates_V2.csv").unlink()
    assert find_luna16(source).tables["candidates.csv"][1][-1] == 0


def test_a_table_that_is_cut_off_is_left_out_and_the_scans_are_not(source):
    path = source / "annotations.csv"
    write_csv(path, [[*POSITION, "diameter_mm"], [UIDS[0], 1, 2]])
    benchmark = find_luna16(source)
    assert len(benchmark.cases) == 3 and not benchmark.tables
    assert "Line 2 of" in benchmark.odd[str(path)]


def test_the_real_annotations_are_read_and_a_truncated_copy_is_told(source):
    folder = shared("data", "tables", "LUNA16")
    positions = read_positions(folder / "annotations.csv", DIAMETER)
    assert len(positions) == 1186 and len(set(positions.scans)) == 601
    assert positions.values.min() > 3
    excluded = read_positions(folder / "annotations_excluded.csv", DIAMETER)
    assert len(excluded) == 35192 and (excluded.values == -1).sum() == 30513
    scan = source / "subset0" / f"{UIDS[0]}.mhd"
    scans = {positions.scans[0]: scan}
    rows, missing = rows_of("annotations.csv", folder / "annotations.csv", scans)
    assert len(rows) == 3 and list(missing) == ["scans of annotations.csv"]
    _, missing = rows_of("annotations.csv", folder / "annotations_other_repo.csv", scans)
    assert missing["rows of annotations.csv"] == "1117 were found, LUNA16 has 1186"
