import math

import numpy as np
import pytest
import SimpleITK

from nnunetv2_pcrl.monitoring.planes import (
    Orientation,
    Plane,
    orientation_from_itk,
    orientation_of,
    plane_across,
    planes_of,
)

IDENTITY = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
# One voxel near each end of the patient, in millimetres to the left, the back and the head.
PATIENT_MM = {"L": (4, 0, 0), "R": (-4, 0, 0), "P": (0, 4, 0), "A": (0, -4, 0), "S": (0, 0, 4)}
EXPECTED_EDGES = {"axial": "APRL", "coronal": "SIRL", "sagittal": "SIAP"}


def image_of_a_patient(direction, spacing=(1.0, 1.0, 1.0)) -> SimpleITK.Image:
    """Image of 9 voxels and 9 mm each way around the origin whose marks are known by position."""
    image = SimpleITK.Image([round(9 / mm) for mm in spacing], SimpleITK.sitkUInt8)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    image.SetOrigin([-value for value in middle])
    for value, place in enumerate(PATIENT_MM.values(), start=1):
        image[image.TransformPhysicalPointToIndex(place)] = value
    return image


def marks_in(picture: np.ndarray) -> dict[str, tuple[int, int]]:
    """Where the marks are, -1 to 1 from the top and from the left."""
    found = {}
    for value, letter in enumerate(PATIENT_MM, start=1):
        places = np.argwhere(picture == value)
        if len(places):
            found[letter] = tuple(np.sign(places[0] - (np.array(picture.shape) - 1) / 2).tolist())
    return found


DIRECTIONS = {
    "LPS": IDENTITY,
    "RAS": (-1.0, 0, 0, 0, -1, 0, 0, 0, 1),
    "sagittal acquisition": (0.0, 0, -1, 1, 0, 0, 0, -1, 0),
    "coronal acquisition, upside down": (0.0, -1, 0, 0, 0, 1, 1, 0, 0),
}


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_patient_is_shown_the_same_way_however_the_image_is_stored(direction, transpose):
    image = image_of_a_patient(direction)
    array = SimpleITK.GetArrayFromImage(image).transpose(transpose)
    planes = planes_of(orientation_from_itk(image.GetDirection(), transpose))
    assert [plane.name for plane in planes] == ["axial", "coronal", "sagittal"]
    axial, coronal, sagittal = (marks_in(plane.through(array, 4)) for plane in planes)
    up, down, left, right = (-1, 0), (1, 0), (0, -1), (0, 1)
    assert axial == {"A": up, "P": down, "R": left, "L": right}
    assert coronal == {"S": up, "R": left, "L": right}
    assert sagittal == {"S": up, "A": left, "P": right}
    for plane in planes:
        assert "".join(plane.edges) == EXPECTED_EDGES[plane.name]


def test_a_row_label_says_what_is_up_and_what_is_right():
    axial, coronal, sagittal = planes_of(orientation_from_itk(IDENTITY))
    assert axial.words == ("axial", "anterior up", "left on the right")
    assert coronal.words == ("coronal", "superior up", "left on the right")
    assert sagittal.words == ("sagittal", "superior up", "posterior on the right")


def test_thick_slices_make_tall_pixels_in_the_planes_that_cut_them():
    image = image_of_a_patient(IDENTITY, (1.0, 1.5, 3.0))
    array = SimpleITK.GetArrayFromImage(image)
    spacing = image.GetSpacing()[::-1]
    axial, coronal, sagittal = planes_of(orientation_from_itk(image.GetDirection()))
    assert [p.aspect(spacing) for p in (axial, coronal, sagittal)] == [1.5, 3.0, 2.0]
    assert coronal.through(array, 3).shape == (3, 9)
    found = marks_in(sagittal.through(array, 4))
    assert (found["A"][1], found["P"][1], found["S"][0]) == (-1, 1, -1)


def test_an_oblique_image_is_named_by_the_nearest_directions_and_says_its_tilt():
    angle = math.radians(20)
    c, s = math.cos(angle), math.sin(angle)
    orientation = orientation_from_itk((1.0, 0, 0, 0, c, -s, 0, s, c))
    assert orientation.towards == ("S", "P", "L")
    assert orientation.tilt_degrees == pytest.approx(20)
    assert planes_of(orientation)[0].words[0] == "axial (tilted 20°)"
    # Both axes are nearest to the same direction; each direction is named once all the same.
    c, s = math.cos(math.radians(45)), math.sin(math.radians(45))
    double = orientation_from_itk((c, -s, 0, s, c, 0, 0, 0, 1))
    assert {letter.translate(str.maketrans("LAI", "RPS")) for letter in double.towards} == {*"RPS"}


def test_channels_and_boxes_follow_the_picture():
    image = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    for plane in planes_of(orientation_from_itk(DIRECTIONS["sagittal acquisition"], (1, 2, 0))):
        # The box of one voxel is the pixel of that voxel.
        voxel = (1, 2, 3)
        picture = plane.through(image, voxel[plane.cut])
        first, size = plane.rectangle(voxel, (1, 1, 1), image.shape[1:])
        assert size == (1, 1)
        assert picture[(slice(None), *first)].tolist() == image[(slice(None), *voxel)].tolist()
        # And a box at the start of every axis stays inside.
        first, size = plane.rectangle((0, 0, 0), (1, 2, 3), image.shape[1:])
        assert all(f + s <= n for f, s, n in zip(first, size, picture.shape[1:], strict=True))


def test_a_slice_that_is_cut_already_is_turned_in_the_same_way():
    # What a 2D configuration holds of a 3D image: slices across the first axis.
    image = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    planes = planes_of(orientation_from_itk(DIRECTIONS["RAS"]))
    plane = plane_across(planes, 0)
    assert plane.name == "axial"
    assert (plane.arranged(image[1]) == plane.through(image, 1)).all()
    # Left and posterior are the first voxels here.
    assert plane.arranged(image[1])[-1, -1] == image[1, 0, 0]


def test_without_a_direction_slices_are_shown_as_stored_and_not_called_axial():
    image = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    planes = planes_of(orientation_of({"spacing": (1, 1, 1)}))
    assert [plane.words for plane in planes] == [("z slice",), ("y slice",), ("x slice",)]
    assert all(plane.edges == ("",) * 4 for plane in planes)
    assert (planes[1].through(image, 2) == image[:, 2]).all()
    assert not orientation_from_itk((0.0,) * 9).is_known


def test_channels_on_a_fourth_axis_of_the_file_change_nothing():
    with_channels = np.eye(4)
    with_channels[:3, :3] = np.reshape(DIRECTIONS["sagittal acquisition"], (3, 3))
    expected = orientation_from_itk(DIRECTIONS["sagittal acquisition"], (2, 0, 1))
    assert orientation_from_itk(with_channels.ravel().tolist(), (2, 0, 1)) == expected


def test_a_2d_image_has_one_plane_without_directions():
    (plane,) = planes_of(orientation_from_itk((1.0, 0, 0, 1)))
    assert plane == Plane("", None, 0, 1)
    film = np.arange(6).reshape(2, 3)
    assert (plane.through(film, 0) == film).all()
    assert plane.aspect((0.3, 0.2)) == pytest.approx(1.5)
    assert plane.words == ()
    assert plane_across((plane,), 0) is plane
    # nnU-Net's array of it has an axis of length one.
    stored = orientation_of({"sitk_stuff": {"direction": (1.0, 0, 0, 1)}})
    assert stored == Orientation(("", "", ""))
    assert (plane_across(planes_of(stored), 0).through(film[None], 0) == film).all()


def test_all_of_nnunets_readers_say_the_same(tmp_path):
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient

    image = image_of_a_patient(DIRECTIONS["sagittal acquisition"])
    path = str(tmp_path / "patient.nii.gz")
    SimpleITK.WriteImage(image, path)
    pictures = []
    readers = (SimpleITKIO, SimpleITKIOWithReorient, NibabelIO, NibabelIOWithReorient)
    for reader in readers:
        array, properties = reader().read_images([path])
        planes = planes_of(orientation_of(properties))
        pictures.append([plane.through(array[0], 4) for plane in planes])
    assert all(np.array_equal(pictures[0], others) for others in pictures[1:])
