import json
import os

import numpy as np
import pytest
import SimpleITK
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets
from published import NEW, OLD, read_csv, tumour, write_brats_case, write_csv
from raw_images import write_image

from nnunetv2_pcrl.cli.convert import brats

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path):
    return tmp_path / "download"


@pytest.fixture
def target(nnunet_folders):
    return nnunet_folders / "nnUNet_raw" / "Dataset043_BraTS"


def run(source, *more: str) -> None:
    brats([str(source), "-d", "43", "-np", "1", *more])


def array(path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def write_2018(source) -> None:
    training = source / "MICCAI_BraTS_2018_Data_Training"
    write_brats_case(training / "HGG" / "Brats18_2013_2_1", OLD, tumour())
    write_brats_case(training / "LGG" / "Brats18_TCIA09_141_1", OLD, tumour())
    write_csv(training / "survival_data.csv", [["ID", "Age"]])
    validation = source / "MICCAI_BraTS_2018_Data_Validation"
    write_brats_case(validation / "Brats18_CBICA_AAM_1", OLD)


def write_2020(source) -> None:
    training = source / "MICCAI_BraTS2020_TrainingData"
    write_brats_case(training / "BraTS20_Training_001", OLD, tumour(), ".nii")
    odd = write_brats_case(training / "BraTS20_Training_355", OLD, None, ".nii")
    write_image(odd / "W39_1998.09.19_Segm.nii", tumour(), origin=(0.0, -239.0, 0.0))
    header = ["Grade", "BraTS_2017_subject_ID", "BraTS_2020_subject_ID"]
    write_csv(
        training / "name_mapping.csv",
        [header, ["HGG", "x", "BraTS20_Training_001"], ["LGG", "y", "BraTS20_Training_355"]],
    )


def write_2021(source) -> None:
    write_brats_case(source / "BraTS2021_00000", OLD, tumour())
    write_brats_case(source / "BraTS2021_00002", OLD, tumour())


def write_2023(source) -> None:
    training = source / "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData"
    write_brats_case(training / "BraTS-GLI-00000-000", NEW, tumour((1, 2, 3)))
    validation = source / "ASNR-MICCAI-BraTS2023-GLI-Challenge-ValidationData"
    write_brats_case(validation / "BraTS-GLI-00001-000", NEW)


@pytest.mark.parametrize("write", [write_2018, write_2020, write_2021, write_2023])
def test_every_release_becomes_the_same_regions_and_channels(write, source, target):
    write(source)
    run(source, "--skip_bad")
    content = json.loads((target / "dataset.json").read_text())
    assert list(content["channel_names"].values()) == ["T1", "T1ce", "T2", "FLAIR"]
    regions = LabelManager(content["labels"], content["regions_class_order"]).foreground_regions
    assert regions == [(1, 2, 3), (2, 3), (3,)]
    cases = get_filenames_of_train_images_and_targets(str(target))
    assert len(cases) == content["numTraining"] > 0
    for entry in cases.values():
        assert [array(image).max() for image in entry["images"]] == [100, 200, 300, 400]
        # Published: 1 necrotic core, 2 oedema, 4 (2023: 3) enhancing tumour.
        label = array(entry["label"])
        assert [label[i, 2, 2] for i in (1, 2, 3)] == [2, 1, 3]
        assert SimpleITK.ReadImage(entry["label"]).GetOrigin() == pytest.approx((0, -239, 0))


def test_grades_and_validation_cases_of_2018_are_kept(source, target, capsys):
    write_2018(source)
    with pytest.raises(SystemExit, match="1"):
        run(source)
    assert (target / "imagesTs" / "Brats18_CBICA_AAM_1_0003.nii.gz").is_file()
    grades = {row["identifier"]: row["grade"] for row in read_csv(target / "grades.csv")}
    assert grades == {"Brats18_2013_2_1": "HGG", "Brats18_TCIA09_141_1": "LGG"}
    text = capsys.readouterr().out
    assert "training cases: 2 were found, BraTS 2018 has 285" in text
    assert "test cases: 1 were found, BraTS 2018 has 66" in text
    assert "its size is (10, 8, 6) and not (240, 240, 155)" in text


def test_the_misnamed_label_of_2020_is_found_and_its_grades_read(source, target, capsys):
    write_2020(source)
    run(source, "--skip_bad")
    assert (target / "labelsTr" / "BraTS20_Training_355.nii").is_file()
    text = capsys.readouterr().out
    assert "BraTS20_Training_355: label found as W39_1998.09.19_Segm.nii" in text
    grades = {row["identifier"]: row["grade"] for row in read_csv(target / "grades.csv")}
    assert grades["BraTS20_Training_355"] == "LGG"


def test_damaged_and_odd_cases_are_named_and_leave_nothing_behind(source, target, capsys):
    write_2021(source)
    names = [f"BraTS2021_0001{i}" for i in range(5)]
    folders = [write_brats_case(source / name, OLD, tumour()) for name in names]
    (folders[0] / f"{names[0]}_t2.nii.gz").unlink()
    (folders[1] / f"{names[1]}_seg.nii.gz").unlink()
    write_image(folders[2] / f"{names[2]}_seg.nii.gz", tumour((1, 2, 7)))
    write_image(folders[3] / f"{names[3]}_t1ce.nii.gz", np.ones((6, 8, 9), np.int16))
    cut = folders[4] / f"{names[4]}_flair.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(SystemExit, match="1"):
        run(source)
    text = capsys.readouterr().out
    for part in (
        f"{names[0]}: it has no {names[0]}_t2.nii.gz",
        f"{names[1]}: it has no {names[1]}_seg.nii.gz",
        f"{names[2]}: label {names[2]}_seg.nii.gz has the values [7]; known: [0, 1, 2, 4]",
        f"{names[3]}: {names[3]}_t1.nii.gz and {names[3]}_t1ce.nii.gz differ in size "
        "(10, 8, 6) and (9, 8, 6)",
        f"{names[4]}: the compressed file is truncated",
    ):
        assert part in text
    left = {p.name for part in ("imagesTr", "labelsTr") for p in (target / part).iterdir()}
    assert not any(name in file for name in names for file in left)
    assert len(read_csv(target / "manifest.csv")) == 2 + 5 + 1


def test_a_rerun_writes_only_what_is_missing_and_keeps_the_remarks(source, target, capsys):
    write_2020(source)
    run(source, "--skip_bad")
    files = [p for p in target.rglob("*.nii")]
    assert len(files) == 10
    # Copies keep the time of their source, but every writing makes a new file.
    before = {p: os.stat(p).st_ino for p in files}
    files[0].unlink()
    capsys.readouterr()
    run(source, "--skip_bad")
    assert "label found as W39" in capsys.readouterr().out
    assert files[0].is_file()
    assert all(os.stat(p).st_ino == before[p] for p in files[1:])


def test_a_case_that_is_damaged_later_disappears(source, target):
    write_2021(source)
    run(source, "--skip_bad")
    cut = source / "BraTS2021_00002" / "BraTS2021_00002_t2.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-20])
    run(source, "--skip_bad")
    assert set(get_filenames_of_train_images_and_targets(str(target))) == {"BraTS2021_00000"}
    assert {p.name for p in (target / "labelsTr").iterdir()} == {"BraTS2021_00000.nii.gz"}


def test_labelled_cases_are_training_cases_whatever_the_folder_is_called(tmp_path, target):
    write_2021(tmp_path / "latest_validation_download")
    run(tmp_path / "latest_validation_download", "--skip_bad")
    assert not (target / "imagesTs").exists()


def test_links_take_the_place_of_copies_where_nothing_changes(source, target):
    write_2021(source)
    run(source, "--skip_bad", "--link")
    image = target / "imagesTr" / "BraTS2021_00000_0000.nii.gz"
    assert image.resolve() == source / "BraTS2021_00000" / "BraTS2021_00000_t1.nii.gz"
    # Label values change.
    assert not (target / "labelsTr" / "BraTS2021_00000.nii.gz").is_symlink()


def test_other_folders_are_refused(source, nnunet_folders):
    source.mkdir()
    with pytest.raises(SystemExit, match="found none"):
        run(source)
    write_2018(source)
    write_2021(source)
    with pytest.raises(SystemExit, match="found 2018 and 2021"):
        run(source)
    with pytest.raises(SystemExit, match="There is no folder"):
        run(source / "none")


def test_a_case_that_lies_there_twice_is_taken_once_and_named(source, target, capsys):
    for part in ("a", "b"):
        write_brats_case(source / part / "BraTS2021_00000", OLD, tumour())
    hidden = source / "__MACOSX" / "BraTS2021_00000"
    hidden.mkdir(parents=True)
    run(source, "--skip_bad")
    text = capsys.readouterr().out
    assert "1 training and 0 test cases" in text
    name = "BraTS2021_00000/BraTS2021_00000_t1.nii.gz"
    assert f"{source}/b/{name}: the same case as {source}/a/{name}" in text
    assert "training cases: 1 were found" in text and "__MACOSX" not in text


def test_the_folder_that_the_command_runs_in_is_known_by_its_name(tmp_path, target, monkeypatch):
    folder = tmp_path / "BraTS2021_ValidationData"
    write_brats_case(folder / "BraTS2021_00001", OLD)
    monkeypatch.chdir(folder)
    run(".", "--skip_bad")
    assert (target / "imagesTs" / "BraTS2021_00001_0000.nii.gz").is_file()


def test_copies_of_an_earlier_run_become_links(source, target, tmp_path):
    write_2021(source)
    run(source, "--skip_bad")
    run(source, "--skip_bad", "--link")
    image = target / "imagesTr" / "BraTS2021_00000_0000.nii.gz"
    assert image.is_symlink()
    # The download moved: the links follow.
    moved = source.rename(tmp_path / "moved")
    run(moved, "--skip_bad", "--link")
    assert image.resolve().is_relative_to(moved)


def test_another_release_does_not_go_into_the_same_data_set(source, target, tmp_path):
    write_2021(source)
    run(source, "--skip_bad")
    write_2020(tmp_path / "other")
    with pytest.raises(SystemExit, match="made by BraTS 2021; it stays as it is"):
        run(tmp_path / "other", "--skip_bad")
