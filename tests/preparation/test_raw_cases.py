import json

import pytest
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets
from raw_images import mr_array, write_dataset

from nnunetv2_pcrl.preparation.raw_cases import find_raw_folder, read_raw_dataset


@pytest.fixture
def folder(nnunet_folders):
    cases = {name: [mr_array(), mr_array(1)] for name in ("a", "b_1")}
    return write_dataset(nnunet_folders / "nnUNet_raw", "Dataset007_Bare", cases, ("T1", "T2"))


def test_cases_and_channels_are_those_that_nnunet_finds(folder):
    raw = read_raw_dataset(folder)
    reference = get_filenames_of_train_images_and_targets(str(folder))
    assert raw.cases == {name: list(entry["images"]) for name, entry in reference.items()}
    assert raw.num_channels == 2
    assert (raw.num_labelled, raw.num_training) == (0, 2)


def test_dataset_json_is_completed_by_what_nnunet_demands(folder):
    assert read_raw_dataset(folder).dataset_json["labels"] == {"background": 0}


def test_label_files_are_counted_in_a_partly_labelled_set(folder):
    (folder / "labelsTr").mkdir()
    (folder / "labelsTr" / "b_1.nii.gz").touch()
    assert read_raw_dataset(folder).num_labelled == 1


def test_test_images_are_added_on_request_and_keep_apart_from_cases_of_the_same_name(folder):
    (folder / "imagesTs").mkdir()
    for name in ("a", "c"):
        (folder / "imagesTs" / f"{name}_0000.nii.gz").touch()
    assert set(read_raw_dataset(folder).cases) == {"a", "b_1"}
    assert set(read_raw_dataset(folder, True).cases) == {"a", "b_1", "a_imagesTs", "c"}


def test_the_dataset_key_is_read_by_nnunets_rules_with_and_without_labels(folder, monkeypatch):
    monkeypatch.setenv("IMAGES", str(folder / "imagesTr"))
    content = json.loads((folder / "dataset.json").read_text())
    content["dataset"] = {
        "x": {"images": ["$IMAGES/a_0000.nii.gz", "../other/a_0001.nii.gz"]},
        "y": {"images": ["imagesTr/b.nii.gz"], "label": "dataset.json"},
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    raw = read_raw_dataset(folder)
    assert raw.cases["x"] == [
        str(folder / "imagesTr" / "a_0000.nii.gz"),
        str(folder.parent / "other" / "a_0001.nii.gz"),
    ]
    assert raw.num_labelled == 1


def test_a_data_set_is_found_by_number_and_by_name(folder):
    assert find_raw_folder("7") == find_raw_folder("Dataset007_Bare") == folder


def test_what_is_missing_is_named(folder):
    with pytest.raises(ValueError, match="found none"):
        find_raw_folder(8)
    with pytest.raises(ValueError, match="There is no data set Dataset008_X"):
        find_raw_folder("Dataset008_X")
    (folder / "dataset.json").write_text('{"channel_names": {"0": "CT"}}')
    with pytest.raises(ValueError, match='"file_ending"'):
        read_raw_dataset(folder)
    (folder / "dataset.json").write_text('{"channel_names": {"0": "CT"}, "file_ending": ".mha"}')
    with pytest.raises(ValueError, match="no images"):
        read_raw_dataset(folder)
    (folder / "dataset.json").unlink()
    with pytest.raises(ValueError, match="nnUNetv2_pcrl_from_folder"):
        read_raw_dataset(folder)


@pytest.mark.parametrize(
    "content, reason",
    [
        ('{"a": 1,}', r"dataset.json is no valid JSON file: .*line 1 column"),
        ("[]", r"dataset.json holds a list in the place of \{\.\.\.\}"),
        ('{"channel_names": ["CT"], "file_ending": ".mha"}', r'needs "channel_names", e.g. \{"0"'),
    ],
)
def test_a_damaged_dataset_json_is_named(folder, content, reason):
    (folder / "dataset.json").write_text(content)
    with pytest.raises(ValueError, match=reason):
        read_raw_dataset(folder)


def test_images_whose_names_nnunet_passes_over_are_named(folder):
    for name in ("c_0000.nii", "d.NII.GZ", "notes.txt", ".hidden.nii.gz"):
        (folder / "imagesTr" / name).touch()
    (folder / "imagesTs").mkdir()
    (folder / "imagesTs" / "t.png").touch()
    reason = "its name is not of the form CASE_0000.nii.gz"
    inner = {str(folder / "imagesTr" / name): reason for name in ("c_0000.nii", "d.NII.GZ")}
    assert read_raw_dataset(folder).nameless == inner
    assert read_raw_dataset(folder, True).nameless == {
        **inner,
        str(folder / "imagesTs" / "t.png"): reason,
    }


def test_a_case_of_the_dataset_key_without_images_is_named(folder):
    content = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**content, "dataset": {"x": {"images": []}}}))
    with pytest.raises(ValueError, match='Case x in .*dataset.json names no "images"'):
        read_raw_dataset(folder)
