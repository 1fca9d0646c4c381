"""Which files of a folder become images, under which names, and what is done to them."""

import csv
import os
import socket

import numpy as np
import pytest
import SimpleITK
from PIL import Image
from raw_images import ct_array, mr_array, write_image
from skimage import io

from nnunetv2_pcrl.cli.from_folder import main
from nnunetv2_pcrl.preparation.raw_cases import read_raw_dataset

GREY = np.random.default_rng(0).integers(0, 255, (60, 90)).astype(np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 255, (60, 90, 3)).astype(np.uint8)


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def target(nnunet_folders):
    return nnunet_folders / "nnUNet_raw" / "Dataset021_Mine"


def run(images, *more: str) -> None:
    main([str(images), "-d", "21", "--name", "Mine", *more])


def cases(target) -> set[str]:
    return set(read_raw_dataset(target).cases)


def read(path: str) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))


def notes(target) -> dict[str, str]:
    with open(target / "manifest.csv", encoding="utf-8") as file:
        return {row["source"]: row["note"] for row in csv.DictReader(file)}


def test_segmentations_are_left_out_by_name_and_by_content_and_listed(images, target, capsys):
    label = (ct_array() > 40).astype(np.uint8)
    for case in ("c0", "c1"):
        write_image(images / case / "imaging.nii.gz", ct_array())
        write_image(images / case / "segmentation.nii.gz", label)
    write_image(images / "labelsTr" / "c0.nii.gz", ct_array())
    for ending in (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"):
        write_image(images / f"tumour{ending}", label.astype(np.float32))
    run(images)
    text = capsys.readouterr().out
    assert "8 files or series are left out on purpose" in text
    assert "labelsTr/c0.nii.gz: named like a segmentation (--keep_masks takes it)" in text
    assert "tumour.mha: looks like a segmentation" in text
    assert cases(target) == {"c0_imaging", "c1_imaging"}
    assert len(notes(target)) == 10
    run(images, "--keep_masks")
    assert len(cases(target)) == 10


def test_a_folder_of_segmentations_only_is_no_data_set(images, target):
    write_image(images / "mask.nii.gz", ct_array())
    with pytest.raises(SystemExit, match=r"no usable images.*\n.*--keep_masks takes it"):
        run(images)
    assert not target.exists()


def test_names_that_nnunet_takes_for_segmentations_are_not_given(images, target):
    for name in ("scan_seg", "scan"):
        write_image(images / f"{name}.nii.gz", ct_array())
    run(images, "--keep_masks")
    assert cases(target) == {"scan", "scan_seg_image"}


def test_patterns_include_and_exclude_paths(images, target):
    for name in ("a/T1.nii.gz", "a/T2.nii.gz", "b/T1.nii.gz", "b/old/T1.nii.gz"):
        write_image(images / name, ct_array())
    run(images, "--include", "*t1*", "--exclude", "*/old/*")
    assert cases(target) == {"a_T1", "b_T1"}
    assert notes(target)[str(images / "b" / "old" / "T1.nii.gz")] == "left out by --exclude"
    assert notes(target)[str(images / "a" / "T2.nii.gz")] == "not named by --include"


def test_a_dry_run_shows_what_becomes_what_and_writes_nothing(images, target, capsys):
    write_image(images / "p" / "a.nii.gz", ct_array(), (0.5, 0.5, 3.0))
    run(images, "--dry_run")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["case", "size", "spacing", "orientation", "from", "what"]
    row = ["p_a", "14 x 12 x 10", "0.5 x 0.5 x 3", "LPS", str(images / "p" / "a.nii.gz")]
    assert [cell.strip() for cell in lines[1].split("  ") if cell.strip()] == row
    assert "1 cases would be made; nothing was written." in lines
    assert not target.exists()


@pytest.mark.parametrize(("option", "text"), [([], "are"), (["--dry_run"], "would be")])
def test_the_manifest_is_said_to_exist_only_if_it_does(images, target, capsys, option, text):
    write_image(images / "a.nii.gz", ct_array(), (0.5, 0.5, 3.0))
    for number in range(7):
        write_image(images / f"b{number}_seg.nii.gz", ct_array(), (0.5, 0.5, 3.0))
    run(images, *option)
    assert f"  All of them {text} in manifest.csv." in capsys.readouterr().out.splitlines()
    assert (target / "manifest.csv").exists() == (not option)


@pytest.mark.parametrize(
    "layout",
    [
        "{p}/{c}.nii.gz",
        "{p}/anat/{p}_{c}.nii.gz",
        "{c}/{p}.nii.gz",
        "{p}/{c}/x.nii.gz",
        "{p}_{c}.mha",
    ],
)
def test_channels_are_grouped_by_patterns_in_any_layout(images, target, layout):
    for number, patient in enumerate(("P1", "P2")):
        for channel in ("T1", "T1ce", "FLAIR"):
            array = mr_array(number) + len(channel)
            write_image(images / layout.format(p=patient, c=channel), array)
    run(images, "--channels", "T1=*T1*", "T1ce=*T1ce*", "FLAIR=*flair*")
    raw = read_raw_dataset(target)
    assert raw.num_channels == 3 and len(raw.cases) == 2
    for number, paths in enumerate(raw.cases.values()):
        for path, channel in zip(paths, ("T1", "T1ce", "FLAIR"), strict=True):
            np.testing.assert_allclose(read(path), mr_array(number) + len(channel))


def test_cases_that_lack_a_channel_or_have_two_are_named(images, target, capsys):
    for name in ("a/T1", "a/FLAIR", "b/T1", "c/T1", "c/FLAIR"):
        write_image(images / f"{name}.nii.gz", mr_array())
    write_image(images / "c" / "T1.mha", mr_array())
    run(images, "--channels", "T1=*T1*", "FLAIR=*FLAIR*", "--skip_bad")
    text = capsys.readouterr().out
    assert "b/T1.nii.gz: its case has T1, no FLAIR" in text
    assert "its case has 2 of T1: make the patterns narrower" in text
    assert cases(target) == {"a"}


def test_a_patient_whose_name_has_a_pattern_is_no_channel(images, target, capsys):
    for name in ("PAT1/T1", "PAT1/T2", "PAT1/FLAIR", "PAT2/T1", "PAT2/FLAIR"):
        write_image(images / f"{name}.nii.gz", mr_array())
    run(images, "--channels", "T1=*T1*", "FLAIR=*FLAIR*")
    assert "PAT1/T2.nii.gz: it has the pattern of no channel" in capsys.readouterr().out
    assert cases(target) == {"PAT1", "PAT2"}
    run(images, "--channels", "T1=PAT1/*T1*", "FLAIR=PAT1/FLAIR*")
    assert cases(target) == {"PAT1"}


def test_patterns_for_some_channels_only_are_refused(images, target):
    with pytest.raises(SystemExit, match="Either all channels have a pattern or none"):
        run(images, "--channels", "T1=*T1*", "FLAIR")
    with pytest.raises(SystemExit, match="A channel is named twice: T1 T1"):
        run(images, "--channels", "T1=a", "T1=b")


def test_channels_in_one_file_of_four_axes_are_named_and_taken(images, target):
    parts = [SimpleITK.GetImageFromArray(mr_array(seed)) for seed in range(2)]
    for name in ("a", "b"):
        SimpleITK.WriteImage(SimpleITK.JoinSeries(parts), str(images / f"{name}.nii.gz"))
    with pytest.raises(SystemExit, match="4 axes, .* name its 2 channels by --channels"):
        run(images)
    run(images, "--channels", "T2", "ADC")
    assert cases(target) == {"a", "b"}


def test_colours_of_a_volume_become_channels_of_their_own(images, target):
    array = np.random.default_rng(0).integers(0, 255, (6, 7, 8, 3)).astype(np.uint8)
    colours = SimpleITK.GetImageFromArray(array, isVector=True)
    SimpleITK.WriteImage(colours, str(images / "a.nrrd"))
    run(images, "--channels", "R", "G", "B")
    for colour, path in enumerate(read_raw_dataset(target).cases["a"]):
        np.testing.assert_array_equal(read(path), array[..., colour])


def test_grey_photographs_stored_in_colours_are_grey(images, target, capsys):
    io.imsave(images / "grey.png", GREY)
    io.imsave(images / "stored.png", np.repeat(GREY[..., None], 3, axis=2))
    transparent = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    io.imsave(images / "transparent.png", transparent)
    io.imsave(images / "colour.png", COLOURS)
    with pytest.raises(SystemExit, match="1"):
        run(images)
    assert "colour.png: it is a colour image; take its colours by" in capsys.readouterr().out
    found = read_raw_dataset(target).cases
    assert set(found) == {"grey", "stored", "transparent"}
    assert all((io.imread(paths[0]) == GREY).all() for paths in found.values())


def test_grey_photographs_go_among_coloured_ones(images, target):
    io.imsave(images / "grey.png", GREY)
    io.imsave(images / "colour.png", COLOURS)
    run(images, "--channels", "R", "G", "B")
    found = read_raw_dataset(target).cases
    np.testing.assert_array_equal(io.imread(found["colour"][0]), COLOURS)
    np.testing.assert_array_equal(io.imread(found["grey"][0]), np.dstack([GREY] * 3))


def test_what_photographs_are_stored_as_follows_the_call_and_the_images(images, target):
    """Whatever the times of the files, which copies and archives keep."""
    stored = images / "a.png"

    def save(array: np.ndarray) -> None:
        io.imsave(stored, np.repeat(array[..., None], 3, axis=2))
        os.utime(stored, (1e9, 1e9))

    def found() -> tuple[np.ndarray, int]:
        (path,) = read_raw_dataset(target).cases["a"]
        return io.imread(path), os.stat(path).st_mtime_ns

    io.imsave(images / "b.png", GREY)
    save(GREY)
    run(images)
    before = found()
    np.testing.assert_array_equal(before[0], GREY)
    run(images)
    assert found()[1] == before[1]
    save(GREY[::-1])
    run(images)
    np.testing.assert_array_equal(found()[0], GREY[::-1])
    run(images, "--channels", "R", "G", "B")
    assert found()[0].shape == (*GREY.shape, 3)
    run(images)
    np.testing.assert_array_equal(found()[0], GREY[::-1])


def test_a_photograph_too_large_for_nnunet_is_told_from_a_damaged_one(images, target, capsys):
    io.imsave(images / "film.png", GREY)
    (images / "damaged.png").write_bytes(b"none")
    # A bit per pixel: small on the disk.
    Image.new("1", (14_000, 14_000)).save(images / "slide.png")
    with pytest.raises(SystemExit, match="1"):
        run(images)
    text = capsys.readouterr().out
    assert "slide.png: it has too many pixels for nnU-Net's reader" in text
    assert "178,956,970 at most: cut it into tiles" in text
    assert "damaged.png: it is no PNG, TIFF, BMP or JPEG image, or is damaged" in text
    assert cases(target) == {"film"}


def test_a_drawing_of_few_colours_is_a_segmentation(images, target):
    io.imsave(images / "film.png", GREY)
    io.imsave(images / "lungs.png", (GREY > 99).astype(np.uint8) * 255, check_contrast=False)
    run(images)
    assert cases(target) == {"film"}


def test_one_kind_of_files_does_not_stop_the_other(images, target, capsys):
    for name in "ab":
        io.imsave(images / f"{name}.png", GREY)
    write_image(images / "c.nii.gz", ct_array())
    with pytest.raises(SystemExit, match="1"):
        run(images)
    reason = "c.nii.gz: it is read as a volume, and most images are read as a photograph"
    assert reason in capsys.readouterr().out
    assert cases(target) == {"a", "b"}


def test_files_are_judged_by_their_content_as_the_readers_do(images, target, capsys):
    write_image(images / "plain.nii", ct_array())
    (images / "plain.nii").rename(images / "plain.nii.gz")
    write_image(images / "behind.nii.gz", ct_array())
    with open(images / "behind.nii.gz", "ab") as file:
        file.write(b"garbage!" * 4)
    scan = write_image(images / "scan.mhd", ct_array())
    (images / "voxels").mkdir()
    (images / "scan.raw").rename(images / "voxels" / "scan.raw")
    scan.write_text(scan.read_text().replace("scan.raw", "voxels/scan.raw"))
    run(images)
    assert cases(target) == {"plain", "behind", "scan"}
    run(images, "--link")
    for paths in read_raw_dataset(target).cases.values():
        np.testing.assert_array_equal(read(paths[0]), ct_array())


def test_a_jpeg_called_png_is_taken(images, target):
    io.imsave(images / "a.jpg", GREY)
    (images / "a.jpg").rename(images / "a.png")
    run(images)
    assert cases(target) == {"a"}


@pytest.mark.parametrize("ending", [".NII.GZ", ".Nii.gz", ".NII", ".NRRD", ".MHA", ".MHD"])
def test_endings_in_capitals_are_read(images, target, ending):
    write_image(images / f"scan{ending.lower()}", ct_array())
    (images / f"scan{ending.lower()}").rename(images / f"Scan{ending}")
    run(images)
    (path,) = read_raw_dataset(target).cases["Scan"]
    np.testing.assert_array_equal(read(path), ct_array())


@pytest.mark.parametrize("link", [[], ["--link"]])
def test_voxel_files_of_the_same_name_do_not_meet(images, target, link):
    for patient in range(3):
        write_image(images / f"P{patient}" / "image.mhd", ct_array(patient))
    for _ in range(2):
        run(images, *link)
    found = read_raw_dataset(target).cases
    for patient in range(3):
        np.testing.assert_array_equal(read(found[f"P{patient}_image"][0]), ct_array(patient))


def test_an_mhd_image_with_voxels_elsewhere_is_named_by_its_path(images, target, tmp_path):
    path = write_image(images / "scan.mhd", ct_array())
    (images / "scan.raw").rename(tmp_path / "elsewhere.raw")
    path.write_text(path.read_text().replace("scan.raw", "../elsewhere.raw"))
    run(images, "--link")
    assert read_raw_dataset(target).cases["scan"] == [str(path)]


def test_what_cannot_be_opened_stops_nothing(images, target, capsys, monkeypatch):
    for name in ("a", "b", "secret"):
        write_image(images / f"{name}.nii.gz", ct_array())
    (images / "T1w.json").symlink_to("not-fetched.json")
    (images / "gone.nii.gz").symlink_to("not-fetched.nii.gz")
    os.mkfifo(images / "pipe")
    with socket.socket(socket.AF_UNIX) as connection:
        monkeypatch.chdir(images)
        connection.bind("socket")
    readable = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: "secret" not in str(path) and readable(path, mode)
    )
    with pytest.raises(SystemExit, match="1"):
        run(images)
    text = capsys.readouterr().out
    assert "2 files or series cannot be used" in text
    assert "gone.nii.gz: it is a link to not-fetched.nii.gz, which is not there" in text
    assert "secret.nii.gz: it cannot be opened (Permission denied)" in text
    assert cases(target) == {"a", "b"}


def test_names_are_short_and_stable_and_the_manifest_tells_them_apart(images, target):
    deep = images / ("patient" * 20) / ("study" * 20)
    write_image(deep / "b.nii.gz", ct_array())
    run(images)
    (first,) = cases(target)
    assert len(first) <= 60 and first.startswith("patientpatient") and first.endswith("_b")
    write_image(deep / "a.nii.gz", ct_array())
    run(images)
    assert first in cases(target) and len(cases(target)) == 2
    assert all(len(name) <= 60 for name in cases(target))


def test_a_name_in_no_encoding_stops_nothing(images, target, capsys):
    for name in ("a", "b"):
        write_image(images / f"{name}.nii.gz", ct_array())
    os.rename(images / "b.nii.gz", os.fsencode(images) + b"/b\xff.nii.gz")
    run(images, "--skip_bad")
    assert "its name is no text in UTF-8: rename it" in capsys.readouterr().out
    assert cases(target) == {"a"}
    run(images, "--skip_bad")


def test_orientations_are_counted_and_made_one_on_request(images, target, capsys):
    array = ct_array()
    ras = (-1, 0, 0, 0, -1, 0, 0, 0, 1)
    write_image(images / "a.nii.gz", array)
    write_image(images / "b.nii.gz", array[:, ::-1, ::-1].copy(), direction=ras)
    run(images)
    assert "(1 LPS, 1 RAS); --orient LPS makes them one" in capsys.readouterr().out
    run(images, "--orient", "lps")
    text = capsys.readouterr().out
    assert "turned from RAS to LPS" in text and "several orientations" not in text
    found = read_raw_dataset(target).cases
    assert found["a"] == [str(images / "a.nii.gz")]
    np.testing.assert_array_equal(read(found["b"][0]), array)
    with pytest.raises(SystemExit, match="'LPX' is no orientation"):
        run(images, "--orient", "LPX")


def test_a_run_that_stopped_has_named_what_it_was_going_to_write(images, target, monkeypatch):
    write_image(images / "a.nii.gz", ct_array())

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnunetv2_pcrl.datasets.folder.bring", stop)
    with pytest.raises(SystemExit, match="130"):
        run(images)
    assert set(notes(target)) == {str(images / "a.nii.gz")}
    # What an earlier run left is still named.
    write_image(images / "b.nii.gz", ct_array())
    with pytest.raises(SystemExit, match="130"):
        run(images, "--exclude", "a*")
    assert {str(images / "a.nii.gz"), str(images / "b.nii.gz")} <= set(notes(target))


def test_images_of_somebody_else_are_not_mixed_with_ours(images, target):
    write_image(images / "a.nii.gz", ct_array())
    write_image(target / "imagesTr" / "x_0000.nii.gz", ct_array())
    with pytest.raises(SystemExit, match="holds images that this command did not make"):
        run(images)


def test_files_that_are_numbered_like_channels_are_spoken_of(images, target, capsys):
    for name in ("a_0000", "a_0001", *(f"CXR_{number:04d}" for number in range(20))):
        write_image(images / f"{name}.nii.gz", ct_array(size=(4, 9, 9)))
    run(images)
    assert "2 files are numbered like channels of the same case" in capsys.readouterr().out


def test_reasons_are_short_and_say_what_to_do(images, target, capsys):
    write_image(images / "good.nii.gz", ct_array())
    (images / "gz.nii").write_bytes((images / "good.nii.gz").read_bytes())
    for ending in (".mha", ".nrrd"):
        path = write_image(images / f"cut{ending}", ct_array())
        path.write_bytes(path.read_bytes()[:-99])
    run(images, "--skip_bad")
    text = capsys.readouterr().out
    assert "gz.nii: it is compressed although its name ends with .nii: rename it" in text
    assert "cut.mha: the file is truncated: 3261 of 3360 bytes are there" in text
    assert "SimpleITK" not in text and "0x" not in text


def test_formats_that_nnunet_does_not_read_and_archives_are_spoken_of(images, target, capsys):
    write_image(images / "a.nii.gz", ct_array())
    for name in ("brain.mgz", "old.img", "more.zip", "notes.txt"):
        (images / name).write_bytes(b"content")
    run(images)
    text = capsys.readouterr().out
    assert "3 files or series are left out on purpose" in text
    assert "brain.mgz: nnU-Net does not read its format; convert it to NIfTI" in text
    assert "more.zip: it is an archive; unpack it if it holds images" in text
