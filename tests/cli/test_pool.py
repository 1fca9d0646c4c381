import csv
import json
import shutil

import numpy as np
import pytest
import SimpleITK
from raw_images import ct_array, mr_array, write_dataset, write_image

from nnunetv2_pcrl.cli.plan_and_preprocess import main as plan_and_preprocess
from nnunetv2_pcrl.cli.pool import main
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
