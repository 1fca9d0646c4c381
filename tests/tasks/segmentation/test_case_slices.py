from dataclasses import replace

import numpy as np
import pytest

from nnunetv2_pcrl.monitoring.planes import Orientation, orientation_from_itk
from nnunetv2_pcrl.tasks.segmentation.case_slices import (
    SegmentedCase,
    clearest_channel,
    slice_rows,
)

LPS = orientation_from_itk((1.0, 0, 0, 0, 1, 0, 0, 0, 1))
UNKNOWN = Orientation(("", "", ""))


def case_with(reference, *predictions, image=None, channels=("MR",), **more) -> SegmentedCase:
    if image is None:
        image = np.zeros((len(channels), *reference.shape), np.float32)
    more = {"spacing": (5.0, 1.0, 1.0), "orientation": LPS, **more}
    return SegmentedCase(image, channels, (reference, *predictions), **more)


def box(*ranges, shape=(6, 30, 30), value=1) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    labels[tuple(slice(*r) for r in ranges)] = value
    return labels


def test_the_slice_shown_has_reference_in_it_and_most_to_see():
    reference = box((1, 4), (10, 14), (10, 14))
    reference[3, 10:16, 10:16] = 2
    axial, *_ = slice_rows(case_with(reference))
    assert axial.words == ("axial", "anterior up", "left on the right", "slice 4 of 6")
    # Errors count as much, but only where the reference is too.
    wrong = reference.copy()
    wrong[1] = 1
    assert slice_rows(case_with(reference, wrong))[0].words[-1] == "slice 2 of 6"
    elsewhere = reference.copy()
    elsewhere[5] = 1
    assert slice_rows(case_with(reference, elsewhere))[0].words[-1] == "slice 4 of 6"
    # Without a reference, what was found is shown; with nothing at all, the middle.
    nothing = np.zeros_like(reference)
    found = slice_rows(case_with(nothing, box((5, 6), (3, 5), (3, 5))))
    assert found[0].words[-1] == "slice 6 of 6"
    assert slice_rows(case_with(nothing))[0].words[-1] == "slice 4 of 6"


def test_thick_slices_are_drawn_as_thick_as_they_are():
    axial, coronal, sagittal = slice_rows(case_with(box((1, 4), (10, 14), (10, 14))))
    assert (axial.aspect, coronal.aspect, sagittal.aspect) == (1, 5, 5)


def test_pictures_are_cropped_around_what_is_segmented_with_its_surroundings():
    reference = box((1, 4), (13, 16), (12, 18))
    axial, coronal, _ = slice_rows(case_with(reference))
    # A third of the image at least: 10 of 30 rows around 3, 10 columns around 6.
    assert axial.image.shape == axial.segmentations[0].shape == (11, 10)
    assert (axial.segmentations[0] == 1).sum() == 3 * 6
    # A false finding far away is not cropped off.
    far = reference.copy()
    far[2, 29, 29] = 1
    axial, *_ = slice_rows(case_with(reference, far))
    assert (axial.segmentations[1] == 1).sum() == 3 * 6 + 1
    assert coronal.image.shape[0] == 5


def test_superior_is_up_whichever_way_the_slices_are_stored():
    reference = box((0, 2), (10, 20), (10, 20))
    upright, upside_down = (
        slice_rows(case_with(reference, orientation=orientation_from_itk(direction)))[1]
        for direction in ((1.0, 0, 0, 0, 1, 0, 0, 0, 1), (1.0, 0, 0, 0, 1, 0, 0, 0, -1))
    )
    # The first slice is the lowest one here, and the highest there.
    assert upright.segmentations[0][-1].any() and not upright.segmentations[0][0].any()
    assert upside_down.segmentations[0][0].any() and not upside_down.segmentations[0][-1].any()
    assert upright.edges == upside_down.edges == ("S", "I", "R", "L")


def test_the_channel_is_shown_in_which_the_reference_is_seen_best():
    reference = box((1, 4), (10, 14), (10, 14))
    noise = np.random.default_rng(0).normal(size=(2, *reference.shape)).astype(np.float32)
    noise[1] += 3 * reference
    case = case_with(reference, image=noise, channels=("T1", "FLAIR"))
    assert clearest_channel(case) == 1
    assert clearest_channel(replace(case, segmentations=(np.zeros_like(reference),))) == 0


def test_ct_is_shown_in_the_window_of_what_is_segmented_and_mr_in_its_own():
    reference = box((0, 6), (10, 20), (10, 20))
    image = np.full((1, *reference.shape), -1000, np.float32)
    image[0][reference > 0] = np.linspace(0, 100, (reference > 0).sum())
    image[0, :, 9] = 3000
    (organ, air, bone) = (
        lambda row: row.image[row.segmentations[0] > 0],
        lambda row: row.image.min(),
        lambda row: row.image.max(),
    )
    ct, *_ = slice_rows(case_with(reference, image=image, channels=("CT",)))
    # From half a width below the organ to half a width above it.
    assert organ(ct).min() > 0.2 and organ(ct).max() < 0.8
    assert (air(ct), bone(ct)) == (0, 1)
    mr, *_ = slice_rows(case_with(reference, image=image, channels=("MR",)))
    assert np.ptp(organ(mr)) < 0.05


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_photographs_are_shown_in_colour_and_as_they_are_stored(scale):
    reference = box((0, 1), (4, 9), (2, 9), shape=(1, 10, 12))
    image = np.zeros((3, 1, 10, 12), np.float32)
    image[0, 0, 4:9, 2:9] = scale
    spacing = (999.0, 1.0, 1.0)
    case = case_with(
        reference, image=image, channels=("R", "G", "B"), spacing=spacing, orientation=UNKNOWN
    )
    (row,) = slice_rows(case)
    assert row.words == ()
    assert row.edges == ("", "", "", "")
    assert row.image.shape[2] == 3
    assert (row.image[row.segmentations[0] > 0] == (1, 0, 0)).all()
    assert row.segmentations[0][0, -1] == 0 and row.aspect == 1


def test_a_single_slice_of_a_known_direction_is_named():
    reference = box((0, 1), (4, 9), (2, 9), shape=(1, 10, 12))
    (row,) = slice_rows(case_with(reference))
    assert row.words == ("axial", "anterior up", "left on the right")


def test_ignored_voxels_are_no_errors_and_no_foreground():
    reference = box((1, 3), (10, 14), (10, 14))
    reference[5] = 9
    prediction = np.where(reference == 9, 1, reference)
    axial, *_ = slice_rows(case_with(reference, prediction, ignore_label=9))
    assert axial.words[-1] == "slice 3 of 6"
