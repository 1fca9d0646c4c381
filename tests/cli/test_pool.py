import csv
import json
import shutil

import numpy as np
import pytest
import SimpleITK
import tifffile
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from raw_images import ct_array, mr_array, write_dataset, write_image

from nnunetv2_pcrl.cli.plan_and_preprocess import main as plan_and_preprocess
from nnunetv2_pcrl.cli.pool import main
from nnunetv2_pcrl.datasets.photographs import write_photograph
from nnunetv2_pcrl.preparation.raw_cases import read_raw_dataset


@pytest.fixture
def raw(nnunet_folders):
    """Two CT data sets with a case of the same name, and test images in the second."""
    root = nnunet_folders / "nnUNet_raw"
    write_dataset(root, "Dataset001_One", {"a": [ct_array(0)], "b": [ct_array(1)]}, ("CT",))
    two = write_dataset(root, "Dataset002_Two", {"a": [ct_array(2)]}, ("ct",))
    write_image(two / "imagesTs" / "t_0000.nii.gz", ct_array(3))
    return root


def run(*more: str) -> None:
    main(["-d", "1", "2", "-o", "90", "--name", "Pool", *more])


def test_a_pool_names_the_images_of_all_without_copying(raw, capsys):
    run("--include_test_images")
    cases = read_raw_dataset(raw / "Dataset090_Pool").cases
    assert cases == {
        "001_a": [str(raw / "Dataset001_One" / "imagesTr" / "a_0000.nii.gz")],
        "001_b": [str(raw / "Dataset001_One" / "imagesTr" / "b_0000.nii.gz")],
        "002_a": [str(raw / "Dataset002_Two" / "imagesTr" / "a_0000.nii.gz")],
        "002_t": [str(raw / "Dataset002_Two" / "imagesTs" / "t_0000.nii.gz")],
    }
    assert {p.name for p in (raw / "Dataset090_Pool").iterdir()} == {"dataset.json", "manifest.csv"}
    with open(raw / "Dataset090_Pool" / "manifest.csv") as file:
        assert [row["identifier"] for row in csv.DictReader(file)] == list(cases)
    assert "names 4 cases" in capsys.readouterr().out


def test_a_pool_moves_with_the_data_sets_that_it_names(raw, nnunet_folders):
    run()
    moved = nnunet_folders / "elsewhere"
    shutil.move(raw, moved)
    (image,) = read_raw_dataset(moved / "Dataset090_Pool").cases["002_a"]
    assert image == str(moved / "Dataset002_Two" / "imagesTr" / "a_0000.nii.gz")


def test_a_pool_is_prepared_like_any_data_set(raw, nnunet_folders):
    run()
    plan_and_preprocess(["-d", "90", "-c", "2d", "-np", "1"])
    folder = nnunet_folders / "nnUNet_preprocessed" / "Dataset090_Pool"
    data = folder / "nnUNetPlans_unlabelled_2d"
    assert {p.stem for p in data.glob("*.pkl")} == {"001_a", "001_b", "002_a"}
    # The list of files is not carried along into every result.
    assert "dataset" not in json.loads((folder / "dataset.json").read_text())


def test_data_sets_that_do_not_go_together_are_refused(raw):
    write_dataset(raw, "Dataset003_MR", {"a": [mr_array()]}, ("T1",))
    write_dataset(raw, "Dataset004_MR", {"a": [mr_array(), mr_array()]}, ("T1", "T2"))
    with pytest.raises(SystemExit, match=r"normalisation .*Dataset003_MR: \['ZScore"):
        main(["-d", "1", "3", "-o", "90", "--name", "Pool"])
    with pytest.raises(SystemExit, match="number of channels: Dataset001_One: 1, Dataset004_MR: 2"):
        main(["-d", "1", "4", "-o", "90", "--name", "Pool"])
    with pytest.raises(SystemExit, match="names 2 channels, the images have 1"):
        run("--channels", "a", "b")
    with pytest.raises(SystemExit, match="pooled into itself"):
        main(["-d", "1", "-o", "1", "--name", "One"])
    main(["-d", "1", "3", "-o", "90", "--name", "Pool", "--channels", "zscore"])
    names = read_raw_dataset(raw / "Dataset090_Pool").dataset_json["channel_names"]
    assert names == {"0": "zscore"}


def test_a_pool_replaces_pools_only_and_takes_a_data_set_once(raw, capsys):
    write_dataset(raw, "Dataset003_Three", {"a": [ct_array()]}, ("CT",))
    with pytest.raises(SystemExit, match="Dataset003_Three is a data set already, not ours"):
        main(["-d", "1", "2", "-o", "3", "--name", "Three"])
    run()
    main(["-d", "1", "Dataset001_One", "-o", "90", "--name", "Pool"])
    with open(raw / "Dataset090_Pool" / "manifest.csv") as file:
        assert [row["identifier"] for row in csv.DictReader(file)] == ["001_a", "001_b"]


def test_names_that_mean_something_else_or_lead_elsewhere_are_changed(raw, tmp_path):
    write_image(raw / "Dataset001_One" / "imagesTr" / "a_seg_0000.nii.gz", ct_array())
    listed = {"../evil": {"images": [str(raw / "Dataset002_Two/imagesTr/a_0000.nii.gz")]}}
    file = raw / "Dataset002_Two" / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "dataset": listed}))
    run()
    cases = read_raw_dataset(raw / "Dataset090_Pool").cases
    assert set(cases) == {"001_a", "001_b", "001_a_seg_image", "002_evil"}


def test_mixed_orientations_are_said_and_made_one_on_request(raw, capsys):
    ras = (-1, 0, 0, 0, -1, 0, 0, 0, 1)
    array = ct_array(2)
    turned = raw / "Dataset002_Two" / "imagesTr" / "a_0000.nii.gz"
    write_image(turned, array[:, ::-1, ::-1].copy(), direction=ras)
    run()
    assert "(2 LPS, 1 RAS); --orient LPS makes them one" in capsys.readouterr().out
    run("--orient", "LPS")
    assert "several orientations" not in capsys.readouterr().out
    cases = read_raw_dataset(raw / "Dataset090_Pool").cases
    made = SimpleITK.ReadImage(cases["002_a"][0])
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(made), array)
    assert cases["001_a"] == [str(raw / "Dataset001_One" / "imagesTr" / "a_0000.nii.gz")]


def write_photographs(raw, name: str, images: dict, channels=("zscore",)) -> None:
    """A data set of PNG images: arrays [H, W] or [H, W, 3] of 8 bits, one per channel."""
    folder = write_dataset(raw, name, {}, channels, file_ending=".png")
    for identifier, arrays in images.items():
        for channel, array in enumerate(arrays):
            write_photograph(array, folder / f"imagesTr/{identifier}_{channel:04d}.png")


def photograph(seed: int = 0, size=(24, 20)) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, size, dtype=np.uint8)


READERS = (SimpleITKIO, SimpleITKIOWithReorient, NibabelIO)


@pytest.mark.parametrize(
    "images",
    [[photograph()], [photograph(1), photograph(2)], [photograph(3, (24, 20, 3))]],
    ids=["grey", "two_files", "colours"],
)
def test_photographs_among_volumes_are_read_as_they_were(nnunet_folders, images):
    raw = nnunet_folders / "nnUNet_raw"
    num_channels = 3 if images[0].ndim == 3 else len(images)
    channels = ("zscore",) * num_channels
    write_dataset(raw, "Dataset001_MR", {"a": [mr_array()] * num_channels}, channels)
    write_photographs(raw, "Dataset002_Slices", {"s": images}, channels)
    for order in ("12", "21"):
        main(["-d", *order, "-o", "90", "--name", "Pool"])
        pool = read_raw_dataset(raw / "Dataset090_Pool")
        assert pool.dataset_json["overwrite_image_reader_writer"] == "SimpleITKIO"
        assert pool.dataset_json["file_ending"] == ".nii.gz"
        assert pool.cases["001_a"] == read_raw_dataset(raw / "Dataset001_MR").cases["a"]
        assert len(pool.cases["002_s"]) == num_channels
    slices = read_raw_dataset(raw / "Dataset002_Slices").cases["s"]
    wanted, properties = NaturalImage2DIO().read_images(slices)
    for reader in READERS:
        found, of_volume = reader().read_images(pool.cases["002_s"])
        np.testing.assert_array_equal(found, wanted)
        assert tuple(of_volume["spacing"]) == properties["spacing"]


def test_slices_and_volumes_are_prepared_in_2d_together(nnunet_folders, capsys):
    raw = nnunet_folders / "nnUNet_raw"
    write_dataset(raw, "Dataset001_MR", {"a": [mr_array()], "b": [mr_array(1)]}, ("T1",))
    write_photographs(raw, "Dataset002_Slices", {c: [photograph(i)] for i, c in enumerate("st")})
    main(["-d", "1", "2", "-o", "90", "--name", "Pool", "--orient", "RAS"])
    assert "plan_and_preprocess -d 90 -c 2d\n2 photographs were" in capsys.readouterr().out
    plan_and_preprocess(["-d", "90", "-c", "2d", "-np", "1"])
    data = nnunet_folders / "nnUNet_preprocessed" / "Dataset090_Pool" / "nnUNetPlans_unlabelled_2d"
    assert {p.stem for p in data.glob("*.pkl")} == {"001_a", "001_b", "002_s", "002_t"}
    plans = data.parent / "nnUNetPlans_unlabelled.json"
    assert [*json.loads(plans.read_text())["configurations"]] == ["2d"]
    with pytest.raises(SystemExit, match="none of the configurations 3d_.*: 2 of 4 images are 2D"):
        plan_and_preprocess(["-d", "90", "-c", "3d_fullres", "-np", "1"])


def test_photographs_alone_stay_where_they_are(nnunet_folders):
    raw = nnunet_folders / "nnUNet_raw"
    for number in (1, 2):
        write_photographs(raw, f"Dataset00{number}_Slices", {"s": [photograph()]})
    run()
    pool = read_raw_dataset(raw / "Dataset090_Pool")
    assert pool.dataset_json["overwrite_image_reader_writer"] == "NaturalImage2DIO"
    assert pool.cases["001_s"] == [str(raw / "Dataset001_Slices/imagesTr/s_0000.png")]


def test_photographs_that_hold_other_channels_are_named(nnunet_folders, capsys):
    raw = nnunet_folders / "nnUNet_raw"
    write_dataset(raw, "Dataset001_MR", {"a": [mr_array()] * 2}, ("T1", "T2"))
    write_photographs(raw, "Dataset002_Slices", {"s": [photograph()]}, ("T1", "T2"))
    with pytest.raises(SystemExit):
        run()
    assert "s_0000.png: 1 photographs cannot hold 2 channels" in capsys.readouterr().out
    assert [*read_raw_dataset(raw / "Dataset090_Pool").cases] == ["001_a"]


def test_volumes_that_different_readers_read_are_refused(raw):
    write_dataset(
        raw,
        "Dataset003_Nib",
        {"a": [ct_array()]},
        ("CT",),
        overwrite_image_reader_writer="NibabelIO",
    )
    with pytest.raises(
        SystemExit, match="reader: Dataset001_One: SimpleITKIO, Dataset003_Nib: Nib"
    ):
        main(["-d", "1", "3", "-o", "90", "--name", "Pool"])


def test_stacks_stored_as_tiff_are_volumes_to_a_pool_too(nnunet_folders, capsys):
    raw = nnunet_folders / "nnUNet_raw"
    for number in (1, 2):
        folder = write_dataset(raw, f"Dataset00{number}_Stacks", {}, file_ending=".tif")
        (folder / "imagesTr").mkdir()
        tifffile.imwrite(folder / "imagesTr" / "a_0000.tif", mr_array(number))
        (folder / "imagesTr" / "b.tif").touch()
    with pytest.raises(SystemExit):
        run()
    assert "b.tif: its name is not of the form CASE_0000.tif" in capsys.readouterr().out
    pool = read_raw_dataset(raw / "Dataset090_Pool")
    assert pool.dataset_json["overwrite_image_reader_writer"] == "Tiff3DIO"
    assert set(pool.cases) == {"001_a", "002_a"}
