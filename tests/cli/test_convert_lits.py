import json

import numpy as np
import pytest
import SimpleITK
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIOWithReorient
from published import read_csv
from raw_images import write_image

from nnunetv2_pcrl.cli.convert import lits

SPACING = (0.7, 0.8, 2.5)
# As in LiTS: some volumes point to the right and back, others to the left and front.
LPS, RAS = (1, 0, 0, 0, 1, 0, 0, 0, 1), (-1, 0, 0, 0, -1, 0, 0, 0, 1)


def liver() -> np.ndarray:
    """A label whose place tells every axis and direction."""
    label = np.zeros((6, 8, 10), dtype=np.uint8)
    label[1:3, 1:5, 2:5] = 1
    label[1, 1, 2] = 2
    return label


def volume() -> np.ndarray:
    """A CT in which the liver is bright."""
    return (-1000 + 1100 * (liver() > 0)).astype(np.int16)


@pytest.fixture
def source(tmp_path):
    """Batches of training and test volumes; numbers 0 to 2 are in order."""
    source = tmp_path / "LITS17"
    for number, direction in enumerate((LPS, RAS, LPS)):
        folder = source / f"Training Batch {1 + number // 2}"
        for name, array in (("volume", volume()), ("segmentation", liver())):
            path = folder / f"{name}-{number}.nii"
            write_image(path, array, SPACING, (10.0, 20.0, 30.0), direction)
    write_image(source / "LITS-Challenge-Test-Data" / "test-volume-0.nii", volume(), SPACING)
    return source


@pytest.fixture
def target(nnunet_folders):
    return nnunet_folders / "nnUNet_raw" / "Dataset017_LiTS"


def run(source, *more: str) -> None:
    lits([str(source), "-d", "17", "-np", "1", "--skip_bad", *more])


def notes(target) -> dict[str, str]:
    return {row["identifier"]: row["note"] for row in read_csv(target / "manifest.csv")}


def test_volumes_and_segmentations_are_paired_and_regions_described(source, target, capsys):
    run(source)
    content = json.loads((target / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "liver": [1, 2], "tumor": [2]}
    assert content["regions_class_order"] == [1, 2]
    assert content["channel_names"] == {"0": "CT"}
    assert content["numTraining"] == 3 and content["file_ending"] == ".nii"
    assert (target / "imagesTs" / "lits_test_000_0000.nii").is_file()
    assert "training cases: 3 were found, LiTS 2017 has 131" in capsys.readouterr().out


def test_all_orientations_are_read_as_one(source, target):
    run(source)
    content = json.loads((target / "dataset.json").read_text())
    assert content["overwrite_image_reader_writer"] == "SimpleITKIOWithReorient"
    reader = SimpleITKIOWithReorient()
    images = [
        reader.read_images([str(target / "imagesTr" / f"lits_00{i}_0000.nii")])[0] for i in (0, 1)
    ]
    # The same voxels with opposite axes lie at opposite places of the body.
    np.testing.assert_array_equal(images[1], images[0][:, :, ::-1, ::-1])


def read_pair(target, number: int) -> tuple[np.ndarray, np.ndarray]:
    paths = (f"imagesTr/lits_00{number}_0000.nii", f"labelsTr/lits_00{number}.nii")
    return tuple(
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(target / path))) for path in paths
    )


def check_pair(target, number: int) -> None:
    """The label lies where the volume is bright, and has its header."""
    image, label = read_pair(target, number)
    np.testing.assert_array_equal(image > 0, label > 0)
    assert label[1, 1, 2] == 2
    paths = (f"imagesTr/lits_00{number}_0000.nii", f"labelsTr/lits_00{number}.nii")
    a, b = (SimpleITK.ReadImage(str(target / path)) for path in paths)
    assert a.GetDirection() == b.GetDirection() and a.GetOrigin() == pytest.approx(b.GetOrigin())


def test_a_segmentation_stored_with_flipped_axes_is_turned(source, target):
    path = source / "Training Batch 1" / "segmentation-0.nii"
    turned = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(path)), "RAS")
    SimpleITK.WriteImage(turned, str(path))
    assert not np.array_equal(SimpleITK.GetArrayFromImage(turned), liver())
    run(source)
    check_pair(target, 0)
    assert notes(target)["lits_000"] == "label turned from RAS to LPS"


def test_a_segmentation_with_a_wrong_header_is_taken_voxel_by_voxel(source, target):
    write_image(source / "Training Batch 1" / "segmentation-1.nii", liver(), (1.0, 1.0, 1.0))
    run(source)
    check_pair(target, 1)
    assert "label's header replaced by the image's (spacing" in notes(target)["lits_001"]


def test_odd_files_are_named(source, target, capsys):
    batch = source / "Training Batch 2"
    write_image(batch / "volume-5.nii", volume(), SPACING)
    write_image(batch / "segmentation-6.nii", liver(), SPACING)
    write_image(batch / "volume-0.nii", volume(), SPACING)
    write_image(batch / "volume-7.nii", volume(), SPACING)
    write_image(batch / "segmentation-7.nii", liver()[:, :, :9], SPACING)
    write_image(batch / "volume-8.nii", volume(), SPACING)
    write_image(batch / "segmentation-8.nii", 0.5 * liver().astype(np.float32), SPACING)
    run(source)
    text = capsys.readouterr().out
    for part in (
        "volume-5.nii: there is no segmentation-5.nii",
        "segmentation-6.nii: there is no volume-6.nii",
        "volume-0.nii: the same as",
        "lits_007: image and label differ in size (10, 8, 6) and (9, 8, 6)",
        "lits_008: label segmentation-8.nii has values that are not integers",
    ):
        assert part in text


def test_unchanged_files_are_linked_and_repaired_ones_written(source, target):
    write_image(source / "Training Batch 1" / "segmentation-1.nii", liver(), (1.0, 1.0, 1.0))
    run(source, "--link")
    assert (target / "imagesTr" / "lits_001_0000.nii").is_symlink()
    assert (target / "labelsTr" / "lits_000.nii").is_symlink()
    assert not (target / "labelsTr" / "lits_001.nii").is_symlink()
