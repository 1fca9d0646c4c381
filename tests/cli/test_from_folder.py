import csv
import json
import os

import numpy as np
import pytest
import SimpleITK
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets
from raw_images import ct_array, mr_array, write_image
from skimage import io

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


def manifest(target) -> list[dict]:
    with open(target / "manifest.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_dicom_series(folder, uid: str, positions=(0, 2, 4, 6), array=None) -> np.ndarray:
    """A CT series with a slice at each position (mm), as scanners write it."""
    folder.mkdir(parents=True, exist_ok=True)
    array = ct_array(size=(len(positions), 8, 9)) if array is None else array
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, (position, values) in enumerate(zip(positions, array, strict=True)):
        image = SimpleITK.GetImageFromArray(values[None])
        image.SetSpacing((0.7, 0.7, 2.0))
        for key, value in {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{uid}.{number}",
            "0008|0060": "CT",
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0020|0032": f"0\\0\\{position}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(number),
        }.items():
            image.SetMetaData(key, value)
        # File names without endings, in no useful order.
        writer.SetFileName(str(folder / f"{uid[-1]}{9 - number}.dcm"))
        writer.Execute(image)
        (folder / f"{uid[-1]}{9 - number}.dcm").rename(folder / f"IM{uid[-1]}{9 - number}")
    return array


def test_a_tree_of_volumes_becomes_a_data_set_by_reference(images, target, capsys):
    for name in ("p1/scan.nii.gz", "p2/scan.nii", "p2/other scan.nrrd", "p3/x.y.mha", "z.mhd"):
        write_image(images / name, ct_array())
    run(images, "--channels", "CT")
    cases = read_raw_dataset(target).cases
    assert set(cases) == {"p1_scan", "p2_scan", "p2_other_scan", "p3_x_y", "z"}
    assert cases["p1_scan"] == [str(images / "p1" / "scan.nii.gz")]
    assert not (target / "imagesTr").exists()
    assert {row["source"] for row in manifest(target)} == {c[0] for c in cases.values()}
    # nnU-Net itself reads it too.
    assert set(get_filenames_of_train_images_and_targets(str(target))) == set(cases)
    content = json.loads((target / "dataset.json").read_text())
    assert content["overwrite_image_reader_writer"] == "SimpleITKIO"
    assert content["channel_names"] == {"0": "CT"} and content["numTraining"] == 5
    assert "nnUNetv2_pcrl_plan_and_preprocess -d 21" in capsys.readouterr().out


def test_links_can_be_read_and_are_made_once(images, target):
    array = ct_array()
    for name in ("a.mhd", "b.nii.gz"):
        write_image(images / name, array)
    for _ in range(2):
        run(images, "--link")
    for identifier in "ab":
        (image,) = read_raw_dataset(target).cases[identifier]
        assert os.path.islink(image)
        read = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(image))
        np.testing.assert_array_equal(read, array)


def test_dicom_series_become_images_in_the_order_of_their_positions(images, target):
    array = write_dicom_series(images / "p1", "1.2.3.4")
    write_dicom_series(images / "p1", "1.2.3.5")
    run(images, "--channels", "CT")
    cases = read_raw_dataset(target).cases
    assert set(cases) == {"p1", "p1_2"}
    image = SimpleITK.ReadImage(cases["p1"][0])
    assert image.GetSpacing() == pytest.approx((0.7, 0.7, 2.0))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), array)
    notes = [row["note"] for row in manifest(target)]
    assert notes == ["DICOM series 1.2.3.4, CT", "DICOM series 1.2.3.5, CT"]
    before = os.stat(cases["p1"][0]).st_mtime_ns
    run(images, "--channels", "CT")
    assert os.stat(cases["p1"][0]).st_mtime_ns == before


def test_a_dicom_series_with_a_missing_slice_is_left_out(images, target, capsys):
    write_dicom_series(images / "good", "1.2.3.4")
    write_dicom_series(images / "gap", "1.2.3.5", positions=(0, 2, 6, 8))
    with pytest.raises(SystemExit, match="1"):
        run(images)
    assert "4 slices are 2 to 4 mm apart: some are missing or doubled" in capsys.readouterr().out
    assert set(read_raw_dataset(target).cases) == {"good"}


def test_photographs_become_a_2d_data_set(images, target, capsys):
    for name in ("a.png", "b.tif", "c.jpg", "d.png"):
        io.imsave(images / name, np.arange(600, dtype=np.uint8).reshape(20, 30))
    (images / "d.png").rename(images / "d.PNG")
    SimpleITK.WriteImage(SimpleITK.Image(5, 6, 7, SimpleITK.sitkUInt8), str(images / "e.tif"))
    run(images, "--skip_bad")
    assert "e.tif: it is a stack of 3 axes; convert it to NIfTI" in capsys.readouterr().out
    content = json.loads((target / "dataset.json").read_text())
    assert content["overwrite_image_reader_writer"] == "NaturalImage2DIO"
    assert set(content["dataset"]) == {"a", "b", "c", "d"}


def test_odd_files_are_listed_with_reasons_and_the_others_taken(images, target, capsys):
    for name in ("a.nii.gz", "b.nii.gz", "cut.nii.gz"):
        write_image(images / name, ct_array())
    content = (images / "cut.nii.gz").read_bytes()
    (images / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    (images / "text.mha").write_text("no image")
    write_image(images / "flat.nii.gz", ct_array(size=(1, 12, 14)))
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(
            np.arange(360, dtype=np.uint8).reshape(4, 5, 6, 3), isVector=True
        ),
        str(images / "colour.nrrd"),
    )
    with pytest.raises(SystemExit, match="1"):
        run(images)
    text = capsys.readouterr().out
    assert "4 files or series cannot be used" in text
    for part in (
        "cut.nii.gz: the compressed file is truncated",
        "text.mha: its header names no ElementDataFile",
        "flat.nii.gz: it is 2D, and most images are 3D",
        "colour.nrrd: it is a colour image; take its colours by --channels R G B",
    ):
        assert part in text
    notes = {row["source"]: row["note"] for row in manifest(target) if not row["identifier"]}
    assert len(notes) == 4 and "2D" in notes[str(images / "flat.nii.gz")]
    assert set(read_raw_dataset(target).cases) == {"a", "b"}
    run(images, "--skip_bad")


def test_channels_of_a_case_are_found_by_nnunets_file_names(images, target, capsys):
    for case in "ab":
        for channel in range(2):
            write_image(images / f"{case}_{channel:04d}.nii.gz", mr_array(channel))
    write_image(images / "b_0001.nii.gz", mr_array(size=(5, 12, 14)))
    write_image(images / "c_0000.nii.gz", mr_array())
    run(images, "--channels", "T1", "T2", "--skip_bad")
    assert set(read_raw_dataset(target).cases) == {"a"}
    text = capsys.readouterr().out
    assert "its channels have the sizes (14, 12, 5), (14, 12, 10)" in text
    assert "it has 1 channels, 2 are wanted" in text


def test_names_that_become_equal_are_told_apart(images, target):
    for name in ("a b.nii.gz", "a_b.nii.gz", "a/b.nii.gz"):
        write_image(images / name, ct_array())
    run(images)
    cases = read_raw_dataset(target).cases
    assert set(cases) == {"a_b", "a_b_2", "a_b_3"}
    assert len({images[0] for images in cases.values()}) == 3


def test_folders_that_link_in_a_circle_are_searched_once(images, target):
    write_image(images / "p" / "a.nii.gz", ct_array())
    (images / "p" / "again").symlink_to(images)
    run(images)
    assert set(read_raw_dataset(target).cases) == {"p_a"}


def test_what_cannot_be_built_ends_with_one_sentence(images, target, nnunet_folders):
    with pytest.raises(SystemExit, match="no usable images"):
        run(images)
    assert not target.exists()
    with pytest.raises(SystemExit, match="no folder"):
        run(images / "none")
    (nnunet_folders / "nnUNet_raw" / "Dataset022_Other").mkdir()
    with pytest.raises(SystemExit, match="22 is taken by Dataset022_Other"):
        main([str(images), "-d", "22", "--name", "Mine"])
    with pytest.raises(SystemExit, match="from 1 to 999"):
        main([str(images), "-d", "1000", "--name", "Mine"])


def test_a_data_set_of_somebody_else_stays_as_it_is(images, target):
    write_image(images / "a.nii.gz", ct_array())
    target.mkdir()
    file = target / "dataset.json"
    file.write_text('{"labels": {"background": 0, "liver": 1}}')
    with pytest.raises(SystemExit, match="is a data set already, not ours; it stays as it is"):
        run(images)
    assert json.loads(file.read_text()) == {"labels": {"background": 0, "liver": 1}}
    file.write_text('{"made_by": "BraTS 2020"}')
    with pytest.raises(SystemExit, match="made by BraTS 2020"):
        run(images)


def test_labels_that_a_person_added_are_not_lost(images, target):
    write_image(images / "a.nii.gz", ct_array())
    run(images)
    content = json.loads((target / "dataset.json").read_text())
    content["labels"]["liver"] = 1
    (target / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match=r"were changed to \{'background': 0, 'liver': 1\}"):
        run(images)
    assert json.loads((target / "dataset.json").read_text()) == content


def test_a_name_without_latin_letters_still_makes_a_case(images, target):
    for name in ("患者.nii.gz", "日本.nii.gz"):
        write_image(images / name, ct_array())
    run(images)
    assert set(read_raw_dataset(target).cases) == {"case", "case_2"}


def test_a_series_keeps_its_name_and_is_written_anew_when_it_grows(images, target):
    first = write_dicom_series(images / "p1", "1.2.3.5")
    run(images)
    second = write_dicom_series(images / "p1", "1.2.3.4", (0, 2, 4))
    run(images)
    cases = read_raw_dataset(target).cases
    for identifier, array in (("p1", first), ("p1_2", second)):
        written = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(cases[identifier][0]))
        np.testing.assert_array_equal(written, array)
    grown = write_dicom_series(images / "p1", "1.2.3.4", (0, 2, 4, 6))
    run(images)
    written = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(cases["p1_2"][0]))
    np.testing.assert_array_equal(written, grown)


def test_a_series_in_colour_is_left_out_and_a_file_may_hold_a_volume(images, target, capsys):
    for name in ("a", "b"):
        write_image(images / "volumes" / f"{name}.dcm", ct_array().astype(np.uint16))
    (images / "colour").mkdir()
    array = np.arange(6 * 8 * 9 * 3, dtype=np.uint8).reshape(6, 8, 9, 3)
    colours = SimpleITK.GetImageFromArray(array, isVector=True)
    SimpleITK.WriteImage(colours, str(images / "colour" / "a.dcm"))
    run(images, "--skip_bad")
    assert "it is a colour image" in capsys.readouterr().out
    cases = read_raw_dataset(target).cases
    assert set(cases) == {"volumes", "volumes_2"}
    assert SimpleITK.ReadImage(cases["volumes"][0]).GetSize() == (14, 12, 10)


def test_the_data_set_may_lie_below_the_images(images, nnunet_folders):
    write_dicom_series(nnunet_folders / "p1", "1.2.3.4")
    for _ in range(2):
        run(nnunet_folders)
    folder = nnunet_folders / "nnUNet_raw" / "Dataset021_Mine"
    assert set(read_raw_dataset(folder).cases) == {"p1"}


def test_sources_are_named_from_the_root_even_if_the_command_was_not(images, target, monkeypatch):
    write_image(images / "a.nii.gz", ct_array())
    monkeypatch.chdir(images.parent)
    run("images")
    assert manifest(target)[0]["source"] == str(images / "a.nii.gz")
