from pathlib import PurePosixPath

import numpy as np
import pytest
from raw_images import ct_array, write_image

from nnunetv2_pcrl.datasets.label_like import are_label_values, has_label_name, has_label_values


@pytest.mark.parametrize(
    "path",
    [
        "case_0/segmentation.nii.gz",
        "labelsTr/x.nii.gz",
        "labels/train/x.nii.gz",
        "Masks/x.png",
        "lung_masks/x.png",
        "P1/lungmask.nrrd",
        "BraTS_001-seg.nii.gz",
        "W39_1998.09.19_Segm.nii",
        "sub-1_dseg.nii.gz",
        "x.seg.nrrd",
        "TumourMask_1.nii",
        "a/GT.nii.gz",
    ],
)
def test_usual_names_of_segmentations_are_known(path):
    assert has_label_name(PurePosixPath(path))


@pytest.mark.parametrize(
    "path",
    [
        "unlabelled/x.nii.gz",
        "images_and_labels/x.nii.gz",
        "without_labels/x.nii.gz",
        "SegTHOR/P1/CT.nii.gz",
        "x/T1_masked.nii.gz",
        "segment3/x.nii.gz",
        "1.3.6.1.4.nii.gz",
        "Massachusetts.nii.gz",
    ],
)
def test_names_of_images_are_not_taken_for_segmentations(path):
    assert not has_label_name(PurePosixPath(path))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_few_integers_are_a_segmentation_in_every_format(tmp_path, ending, dtype):
    label = (ct_array() // 20 % 4).astype(dtype)
    assert has_label_values(write_image(tmp_path / f"label{ending}", label))
    image = ct_array().astype(dtype)
    assert not has_label_values(write_image(tmp_path / f"image{ending}", image))


def test_few_values_that_are_no_integers_are_an_image(tmp_path):
    path = write_image(tmp_path / "a.nii.gz", np.full((4, 5, 6), 0.5, np.float32))
    assert not has_label_values(path)


def test_reading_stops_where_an_image_is_recognised():
    def pieces():
        yield np.arange(100)
        raise AssertionError("read on")

    assert not are_label_values(pieces())
    assert not are_label_values([])
