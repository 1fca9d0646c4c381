"""DICOM series in a folder: what they become, and why some become nothing."""

import csv
import time

import numpy as np
import pytest
import SimpleITK
from dicom_files import DOSE, PET, SEGMENTATION, functional_groups, noise, write_file, write_series

from nnunetv2_pcrl.cli.from_folder import main
from nnunetv2_pcrl.preparation.raw_cases import read_raw_dataset


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def target(nnunet_folders):
    return nnunet_folders / "nnUNet_raw" / "Dataset021_Mine"


def run(images, *more: str) -> None:
    main([str(images), "-d", "21", "--name", "Mine", *more])


def image_of(target, identifier: str) -> SimpleITK.Image:
    return SimpleITK.ReadImage(read_raw_dataset(target).cases[identifier][0])


def array_of(target, identifier: str) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(image_of(target, identifier))


def notes(target) -> list[str]:
    with open(target / "manifest.csv", encoding="utf-8") as file:
        return [row["note"] for row in csv.DictReader(file)]


def test_a_damaged_dose_beside_a_series_stops_nothing_and_is_named(images, target, capsys):
    write_series(images / "P0", "1.2.3.0", noise())
    write_series(images / "P1", "1.2.3.1", noise(1))
    write_file(
        images / "P1" / "dose.dcm",
        noise()[0],
        sop_class=DOSE,
        Modality="RTDOSE",
        SeriesInstanceUID="1.2.3.77",
        GridFrameOffsetVector=[0, 2, 4],
    )
    with pytest.raises(SystemExit, match="1"):
        run(images, "--channels", "CT")
    assert "dose.dcm: it is a damaged dose: 1 planes, and 3 offsets" in capsys.readouterr().out
    assert set(read_raw_dataset(target).cases) == {"P0", "P1"}
    run(images, "--channels", "CT", "--skip_bad")


@pytest.mark.parametrize("rest", [0.25, 0.0004, 3])
def test_values_are_those_of_each_slice_read_alone(images, target, rest):
    # 1001 and more, so that the usual 16 bits do not hold all values with a slope of 3.
    array = np.full((5, 8, 9), 20_000) + np.arange(9)
    slopes = [1, *[rest] * 4]
    write_series(images, "1.2.3.4", array, slopes=slopes, Modality="PT", sop_class=PET)
    run(images, "--channels", "PET")
    (identifier,) = read_raw_dataset(target).cases
    made = array_of(target, identifier)
    for number, file in enumerate(sorted(images.iterdir())):
        alone = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file)))[0]
        np.testing.assert_allclose(made[number], alone, rtol=1e-6)
    np.testing.assert_allclose(made[1], array[1] * rest, rtol=1e-6)


def test_equal_slopes_keep_integers(images, target):
    array = write_series(images / "p", "1.2.3.4", noise(), slopes=[2] * 6)
    run(images)
    assert array_of(target, "p").dtype.kind == "i"
    np.testing.assert_array_equal(array_of(target, "p"), 2 * array)


def test_objects_that_are_no_images_and_other_modalities_are_left_out(images, target, capsys):
    array = write_series(images / "P0", "1.2.3.0", noise())
    write_series(images / "P0", "1.2.3.1", noise(1), Modality="PT", sop_class=PET)
    for name, sop_class in (("SEG", SEGMENTATION), ("RTDOSE", DOSE)):
        write_file(
            images / "P0" / f"{name}.dcm",
            noise(2),
            sop_class=sop_class,
            Modality=name,
            SeriesInstanceUID=f"1.2.3.{len(name)}",
        )
    run(images, "--channels", "CT")
    text = capsys.readouterr().out
    assert "it is a segmentation and no image" in text and "it is a dose and no image" in text
    assert "its modality is PT, and CT is taken (--modality)" in text
    np.testing.assert_array_equal(array_of(target, "P0"), array)
    assert "DICOM series 1.2.3.0, CT" in notes(target)
    run(images, "--modality", "PT")
    assert any("DICOM series 1.2.3.1, PT" in note for note in notes(target))
    run(images, "--modality", "CT", "PT")
    assert len(read_raw_dataset(target).cases) == 2


def test_modalities_that_nobody_chose_between_make_the_command_fail(images, target, capsys):
    for number in range(2):
        write_series(images / f"ct{number}", f"1.2.3.{number}", noise(number))
    write_series(images / "pt", "1.2.3.9", noise(9), Modality="PT", sop_class=PET)
    with pytest.raises(SystemExit, match="1"):
        run(images)
    assert "of several modalities (2 CT, 1 PT), and CT is taken" in capsys.readouterr().out
    assert set(read_raw_dataset(target).cases) == {"ct0", "ct1"}


@pytest.mark.slow
def test_time_grows_with_the_files_and_not_with_their_square(images, target):
    def seconds(count: int) -> float:
        folder = images / str(count)
        for number in range(count):
            write_file(
                folder / f"{number:04d}.dcm",
                noise(number, (16, 16)),
                Modality="DX",
                SeriesInstanceUID=f"1.2.3.{number + 10}",
            )
        start = time.process_time()
        run(folder, "--dry_run")
        return time.process_time() - start

    seconds(5)
    few, many = seconds(50), seconds(200)
    # Four times the files; the square would be sixteen times the time.
    assert many < 8 * few


def test_every_series_of_a_folder_has_its_own_reason(images, target, capsys):
    write_series(images, "1.2.3.5", noise())
    for number in range(3):
        write_series(images, f"1.2.3.6{number}", noise(number, (1, 8, 9)), ImageType="LOCALIZER")
    for number in range(2):
        write_series(images, f"1.2.3.7{number}", noise(number))
        write_series(images, f"1.2.3.7{number}", noise(size=(1, 5, 9)), start=(0, 0, 40), stem="x")
    with pytest.raises(SystemExit, match="1"):
        run(images)
    text = capsys.readouterr().out
    assert "5 files or series cannot be used" in text
    for number in range(3):
        assert f"series 1.2.3.6{number}): it is a single slice of CT: a localiser" in text
    for number in range(2):
        assert (
            f"7 files of series 1.2.3.7{number}): its slices have 2 sizes: 9 x 5 and 9 x 8" in text
        )
    assert sum(bool(note) for note in notes(target)) == 6
    assert len(read_raw_dataset(target).cases) == 1


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_tilted_gantry_is_straightened_and_said(images, target, capsys, sign):
    # Slices 4 mm apart along their normal, each 3 pixels of 1 mm beside the one before.
    orientation = (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)
    step = np.array([0, -0.6, 0.8]) * 4.0 + sign * 3.0 * np.array([0, 0.8, 0.6])
    array = write_series(images / "tilt", "1.2.3.1", noise(), tuple(step), orientation)
    run(images, "--channels", "CT")
    assert "1 images: gantry tilt of some degrees, straightened" in capsys.readouterr().out
    assert "gantry tilt of 36.9 degrees, straightened" in notes(target)[0]
    image, made = image_of(target, "tilt"), array_of(target, "tilt")
    assert image.GetSpacing() == pytest.approx((1, 1, 4))
    for number, plane in enumerate(array):
        x, y, z = image.TransformPhysicalPointToIndex((number * step).tolist())
        assert (x, z) == (0, number)
        np.testing.assert_array_equal(made[z, y : y + 8], plane)


def test_a_file_of_many_frames_is_a_volume_in_the_order_of_its_positions(images, target):
    array = noise()
    order = [0, 2, 1, 3, 5, 4]
    slopes = [2, 1, 1, 0.5, 1, 1]
    groups = functional_groups([(0, 0, 3.0 * place) for place in order], slopes)
    write_file(images / "p" / "enhanced", array, SeriesInstanceUID="1.2.3.8", **groups)
    run(images)
    image, made = image_of(target, "p"), array_of(target, "p")
    assert image.GetSpacing() == pytest.approx((0.7, 0.5, 3.0))
    for frame, place in enumerate(order):
        np.testing.assert_allclose(made[place], array[frame] * slopes[frame])


def test_frames_without_positions_are_no_volume(images, target, capsys):
    write_series(images / "good", "1.2.3.4", noise())
    write_file(images / "film.dcm", noise(), SeriesInstanceUID="1.2.3.9")
    run(images, "--skip_bad")
    assert "its 6 frames have no position: they make no volume" in capsys.readouterr().out


def test_slices_of_other_pixel_spacings_make_no_volume(images, target, capsys):
    write_series(images / "good", "1.2.3.4", noise())
    write_series(images / "zoom", "1.2.3.5", noise()[:3])
    more = {"start": (0.0, 0.0, 6.0), "stem": "x", "PixelSpacing": [0.5, 0.5]}
    write_series(images / "zoom", "1.2.3.5", noise()[3:], **more)
    run(images, "--skip_bad")
    assert "its slices have 2 pixel spacings: 0.5 x 0.5 and 1 x 1 mm" in capsys.readouterr().out


def test_a_mosaic_of_slices_is_no_image(images, target, capsys):
    write_series(images / "good", "1.2.3.4", noise())
    write_file(
        images / "m.dcm", noise()[0], SeriesInstanceUID="1.2.3.9", ImageType="PRIMARY\\MOSAIC"
    )
    run(images, "--skip_bad")
    assert "each file is a mosaic of slices; convert it to NIfTI" in capsys.readouterr().out


def test_files_without_the_mark_are_known_by_their_content(images, target):
    array = write_series(images / "p", "1.2.3.4", noise(), preamble=False)
    (images / "notes.txt").write_text("\x08\x00 no image")
    run(images)
    np.testing.assert_array_equal(array_of(target, "p"), array)


def test_a_series_that_lies_in_several_folders_is_one_image(images, target):
    array = write_series(images / "p" / "DIR000", "1.2.3.4", noise()[:3])
    second = write_series(images / "p" / "DIR001", "1.2.3.4", noise()[3:], start=(0, 0, 6))
    run(images)
    ((identifier, _),) = read_raw_dataset(target).cases.items()
    np.testing.assert_array_equal(array_of(target, identifier), [*array, *second])


def test_copies_of_files_do_not_double_slices(images, target):
    array = write_series(images / "p", "1.2.3.4", noise())
    for file in list((images / "p").iterdir()):
        (images / "p" / f"{file.name}_copy").write_bytes(file.read_bytes())
    run(images)
    np.testing.assert_array_equal(array_of(target, "p"), array)
    assert "6 files are copies of others" in notes(target)[0]


def test_stacks_that_share_a_series_are_told_apart_by_what_differs(images, target):
    first = write_series(images / "p", "1.2.3.4", noise(), EchoTime=10, stem="a")
    second = write_series(images / "p", "1.2.3.4", noise(1), EchoTime=20, stem="b")
    run(images)
    np.testing.assert_array_equal(array_of(target, "p"), first)
    np.testing.assert_array_equal(array_of(target, "p_2"), second)
    assert "echo time 10" in notes(target)[0] and "echo time 20" in notes(target)[1]


def test_doubled_slices_that_nothing_tells_apart_are_named(images, target, capsys):
    write_series(images / "good", "1.2.3.5", noise(3))
    write_series(images / "p", "1.2.3.4", noise(), stem="a")
    write_series(images / "p", "1.2.3.4", noise(1), stem="b")
    run(images, "--skip_bad")
    assert (
        "its 12 slices are 0 to 2 mm apart: some are missing or doubled" in capsys.readouterr().out
    )


def test_reconstructions_are_told_apart_and_one_per_scan_is_taken_on_request(
    images, target, capsys
):
    thin = write_series(
        images / "p", "1.2.3.1", noise(size=(10, 8, 9)), (0, 0, 1), ConvolutionKernel="B70f"
    )
    write_series(images / "p", "1.2.3.2", noise(1, (5, 8, 9)), ConvolutionKernel="B31f")
    # Another region of the same patient is another scan.
    write_series(images / "p", "1.2.3.3", noise(2), start=(0, 0, 300))
    run(images, "--channels", "CT")
    assert "1 images are further reconstructions of a scan" in capsys.readouterr().out
    assert len(read_raw_dataset(target).cases) == 3
    assert "DICOM series 1.2.3.1, CT, B70f" in notes(target)
    run(images, "--channels", "CT", "--one_per_scan")
    assert "another reconstruction of DICOM series 1.2.3.1, CT, B70f" in capsys.readouterr().out
    assert set(read_raw_dataset(target).cases) == {"p", "p_3"}
    np.testing.assert_array_equal(array_of(target, "p"), thin)
    # What was made of the other is gone.
    assert {f.name for f in (target / "imagesTr").iterdir()} == {"p_0000.nii.gz", "p_3_0000.nii.gz"}


def test_radiographs_of_one_series_are_images_of_their_own(images, target):
    for number in range(3):
        write_file(images / f"{number}.dcm", noise(number, (9, 8)), Modality="DX")
    run(images, "--channels", "Xray")
    assert len(read_raw_dataset(target).cases) == 3


def test_channels_are_found_by_the_descriptions_of_series(images, target, capsys):
    arrays = {}
    for patient in ("P1", "P2"):
        for number, name in enumerate(("t1_mprage", "T2 FLAIR sag", "scout")):
            arrays[patient, name] = write_series(
                images / patient / str(number),
                f"1.{patient[1]}.{number}",
                noise(number),
                Modality="MR",
                PatientID=patient,
                StudyInstanceUID=f"1.{patient[1]}",
                SeriesDescription=name,
            )
    run(images, "--channels", "T1=*T1*", "FLAIR=*FLAIR*")
    assert "it has the pattern of no channel" in capsys.readouterr().out
    cases = read_raw_dataset(target).cases
    assert set(cases) == {"P1", "P2"}
    for patient, paths in cases.items():
        for path, name in zip(paths, ("t1_mprage", "T2 FLAIR sag"), strict=True):
            made = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
            np.testing.assert_array_equal(made, arrays[patient, name])


def test_channels_on_other_grids_are_resampled_on_request(images, target, capsys):
    write_series(images / "p", "1.2.3.1", noise(), SeriesDescription="T1", Modality="MR")
    ramp = np.tile(100 * np.arange(11)[:, None, None], (1, 8, 9)).astype(np.int16)
    write_series(images / "p", "1.2.3.2", ramp, (0, 0, 1), SeriesDescription="FLAIR", Modality="MR")
    patterns = ["--channels", "T1=T1", "FLAIR=FLAIR"]
    with pytest.raises(SystemExit, match=r"--resample brings all channels onto the grid of T1"):
        run(images, *patterns)
    run(images, *patterns, "--resample")
    assert "resampled onto the grid of T1" in capsys.readouterr().out
    first, second = (SimpleITK.ReadImage(path) for path in read_raw_dataset(target).cases["p"])
    assert first.GetSize() == second.GetSize() and second.GetSpacing()[2] == 2
    np.testing.assert_allclose(
        SimpleITK.GetArrayFromImage(second)[:, 0, 0], [0, 200, 400, 600, 800, 1000]
    )
    # As cases of one channel they leave nothing of the two behind.
    run(images, "--channels", "MR")
    names = {f.name for f in (target / "imagesTr").iterdir()}
    assert names == {"p_0000.nii.gz", "p_2_0000.nii.gz"}
