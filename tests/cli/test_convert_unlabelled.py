"""LUNA16, ChestX-ray14 and CheXpert: images without segmentations."""

import json
import os
import shutil

import blosc2
import numpy as np
import pytest
import SimpleITK
from published import read_csv, write_csv
from raw_images import ct_array, write_image
from skimage import io

from nnunetv2_pcrl.cli.convert import chest_xray14, chexpert, luna16
from nnunetv2_pcrl.cli.plan_and_preprocess import main as plan_and_preprocess

UIDS = [f"1.3.6.1.4.1.14519.5.2.1.6279.6001.10000000{i}" for i in range(4)]


@pytest.fixture
def raw(nnunet_folders):
    return nnunet_folders / "nnUNet_raw"


@pytest.fixture
def luna(tmp_path):
    """Two subsets; the second scan has flipped axes; lung masks carry the same names."""
    source = tmp_path / "LUNA16"
    for number, uid in enumerate(UIDS[:3]):
        flip = (-1, 0, 0, 0, -1, 0, 0, 0, 1) if number == 1 else None
        path = source / f"subset{number // 2}" / f"{uid}.mhd"
        write_image(path, ct_array(number), (0.7, 0.7, 1.25), (-190.0, -180.0, -300.0), flip)
        shutil.copytree(path.parent, source / "seg-lungs-LUNA16", dirs_exist_ok=True)
    header = ["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"]
    write_csv(source / "annotations.csv", [header, [UIDS[0], "-188.6", "-178.6", "-297.5", "5.6"]])
    return source


def run_luna(source, *more: str) -> None:
    luna16([str(source), "-d", "16", "-np", "1", "--skip_bad", *more])


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--link",)])
def test_luna16_scans_become_a_data_set_that_can_be_prepared(luna, raw, nnunet_folders, more):
    run_luna(luna, *more)
    run_luna(luna, *more)
    folder = raw / "Dataset016_LUNA16"
    image = folder / "imagesTr" / f"{UIDS[0]}_0000.mhd"
    assert image.is_symlink() == bool(more)
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(image)))
    np.testing.assert_array_equal(array, ct_array(0))
    content = json.loads((folder / "dataset.json").read_text())
    assert content["numTraining"] == 3 and content["labels"] == {"background": 0}
    plan_and_preprocess(["-d", "16", "-c", "3d_fullres", "-np", "1"])
    data = (
        nnunet_folders / "nnUNet_preprocessed" / folder.name / "nnUNetPlans_unlabelled_3d_fullres"
    )
    assert len(list(data.glob("*.pkl"))) == 3
    # Flipped axes are read in one direction.
    sums = [blosc2.open(str(data / f"{uid}.b2nd"))[:][..., :3].mean() for uid in UIDS[:2]]
    assert sums[0] > sums[1] + 1


def test_luna16_names_damaged_scans(luna, raw, capsys):
    subset = luna / "subset1"
    write_image(subset / f"{UIDS[3]}.mhd", ct_array())
    (subset / f"{UIDS[3]}.raw").unlink()
    cut = subset / f"{UIDS[2]}.raw"
    cut.write_bytes(cut.read_bytes()[:-10])
    shutil.copy(luna / "subset0" / f"{UIDS[0]}.mhd", subset)
    run_luna(luna)
    text = capsys.readouterr().out
    for part in (
        f"{UIDS[3]}: its voxel file {UIDS[3]}.raw is missing",
        f"{UIDS[2]}: its voxel file {UIDS[2]}.raw is truncated: 3350 of 3360 bytes",
        f"subset1/{UIDS[0]}.mhd: the same scan as",
        "training cases: 4 were found, LUNA16 has 888",
    ):
        assert part in text


def grey(seed: int = 0, size=(24, 20)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, size).astype(np.uint8)


@pytest.fixture
def xrays(tmp_path):
    """Two image folders, the table and the lists of ChestX-ray14; one image is RGBA."""
    source = tmp_path / "CXR8"
    rgba = np.dstack([grey(1)] * 3 + [np.full((24, 20), 255, np.uint8)])
    images = {"00000001_000": grey(0), "00000001_001": rgba, "00000002_000": grey(2)}
    for number, (name, image) in enumerate(images.items()):
        folder = source / f"images_00{1 + number // 2}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        io.imsave(folder / f"{name}.png", image, check_contrast=False)
    header = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age"]
    header += ["Patient Gender", "View Position"]
    rows = [
        ["00000001_000.png", "Cardiomegaly|Emphysema", "0", "1", "58", "M", "PA"],
        ["00000001_001.png", "No Finding", "1", "1", "59", "M", "AP"],
        ["00000002_000.png", "Hernia", "0", "2", "81", "F", "PA"],
        ["00000003_000.png", "Mass", "0", "3", "70", "F", "PA"],
    ]
    write_csv(source / "Data_Entry_2017.csv", [header, *rows])
    (source / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (source / "test_list.txt").write_text("00000002_000.png\n00000003_000.png\n")
    return source


def test_chest_xray14_becomes_a_2d_set_with_a_table_of_findings(xrays, raw, capsys):
    chest_xray14([str(xrays), "-d", "14", "-np", "1", "--skip_bad", "--link"])
    folder = raw / "Dataset014_ChestXray14"
    assert (folder / "imagesTr" / "00000001_000_0000.png").is_symlink()
    assert (folder / "imagesTs" / "00000002_000_0000.png").is_symlink()
    # Four channels where one is said: made grey.
    made_grey = folder / "imagesTr" / "00000001_001_0000.png"
    np.testing.assert_array_equal(io.imread(made_grey), grey(1))
    rows = {row["identifier"]: row for row in read_csv(folder / "classes.csv")}
    assert [k for k, v in rows["00000001_000"].items() if v == "1"] == ["Cardiomegaly", "Emphysema"]
    assert rows["00000002_000"]["Hernia"] == "1" and rows["00000002_000"]["patient"] == "00000002"
    metadata = {row["identifier"]: row for row in read_csv(folder / "metadata.csv")}
    assert metadata["00000002_000"]["view"] == "PA" and metadata["00000002_000"]["list"] == "test"
    text = capsys.readouterr().out
    assert "00000001_001: its size is (20, 24) and not (1024, 1024); stored with 4 colour" in text
    assert "00000003_000.png: there is no such file" in text
    assert "training cases: 2 were found, ChestX-ray14 has 86524" in text
    before = os.stat(made_grey).st_mtime_ns
    chest_xray14([str(xrays), "-d", "14", "-np", "1", "--skip_bad", "--link"])
    assert os.stat(made_grey).st_mtime_ns == before


def test_colour_images_are_not_made_grey(xrays, raw, capsys):
    colour = np.random.default_rng(0).integers(0, 255, (24, 20, 3)).astype(np.uint8)
    io.imsave(xrays / "images_001" / "images" / "00000001_000.png", colour)
    chest_xray14([str(xrays), "-d", "14", "-np", "1", "--skip_bad"])
    assert "00000001_000: it is a colour image" in capsys.readouterr().out


def test_a_missing_table_is_told(tmp_path, nnunet_folders):
    with pytest.raises(SystemExit, match=r"There is no Data_Entry_2017\.csv"):
        chest_xray14([str(tmp_path), "-d", "14"])
    with pytest.raises(SystemExit, match=r"There is no train\.csv"):
        chexpert([str(tmp_path), "-d", "15"])


def test_a_table_may_carry_a_mark_of_its_encoding_but_not_be_cut_off(xrays, raw):
    table = xrays / "Data_Entry_2017.csv"
    content = table.read_bytes()
    table.write_bytes(b"\xef\xbb\xbf" + content)
    chest_xray14([str(xrays), "-d", "14", "-np", "1", "--skip_bad"])
    assert len(read_csv(raw / "Dataset014_ChestXray14" / "classes.csv")) == 3
    table.write_bytes(content[:60])
    with pytest.raises(SystemExit, match=r'2017.csv has 0 rows, or no column "Image Index"'):
        chest_xray14([str(xrays), "-d", "14", "-np", "1", "--skip_bad"])


def test_chexpert_becomes_a_2d_set_with_its_tables(tmp_path, raw, nnunet_folders, capsys):
    source = tmp_path / "CheXpert-v1.0-small"
    names = {
        "train": ["patient00001/study1/view1_frontal.jpg", "patient00002/study2/view2_lateral.jpg"],
        "valid": ["patient64541/study1/view1_frontal.jpg"],
    }
    for part, files in names.items():
        for number, name in enumerate(files):
            path = source / part / name
            path.parent.mkdir(parents=True)
            io.imsave(path, grey(number, (40, 32)), check_contrast=False)
        header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", "Edema"]
        rows = [[f"CheXpert-v1.0-small/{part}/{n}", "F", "68", "", "AP", "", "-1.0"] for n in files]
        rows.append([f"CheXpert-v1.0-small/{part}/patient9/study1/view1_frontal.jpg", *"123456"])
        write_csv(source / f"{part}.csv", [header, *rows])
    (source / "train" / "patient00001" / "study1" / "._view1_frontal.jpg").touch()
    chexpert([str(source), "-d", "15", "-np", "1", "--skip_bad"])
    folder = raw / "Dataset015_CheXpert"
    assert (folder / "imagesTr" / "patient00002_study2_view2_lateral_0000.jpg").is_file()
    assert (folder / "imagesTs" / "patient64541_study1_view1_frontal_0000.jpg").is_file()
    rows = read_csv(folder / "classes.csv")
    assert [row["Edema"] for row in rows] == ["-1.0"] * 3
    text = capsys.readouterr().out
    assert "train/patient9/study1/view1_frontal.jpg: there is no such file" in text
    assert "._view1" not in text
    # JPEG is not among the endings that nnU-Net knows, but its reader reads it.
    plan_and_preprocess(["-d", "15", "-np", "1", "--include_test_images"])
    data = nnunet_folders / "nnUNet_preprocessed" / folder.name / "nnUNetPlans_unlabelled_2d"
    assert len(list(data.glob("*.pkl"))) == 3
