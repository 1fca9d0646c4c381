import json
import os
import shutil

import blosc2
import numpy as np
import pytest
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from prepared_dataset import configuration, plans
from raw_images import ct_array, mr_array, write_dataset, write_image

from nnunetv2_pcrl.cli.plan_and_preprocess import main
from nnunetv2_pcrl.preparation import prepare

pytestmark = pytest.mark.slow

NAME = "Dataset007_Bare"


@pytest.fixture
def target(nnunet_folders):
    """Plans of a data set of two channels, Dataset043_Target."""
    folder = nnunet_folders / "nnUNet_preprocessed" / "Dataset043_Target"
    folder.mkdir()
    content = plans({"3d_fullres": configuration(3, spacing=[2.0, 2.0, 2.0])})
    content |= {"dataset_name": "Dataset043_Target"}
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))


@pytest.fixture
def raw(nnunet_folders, target):
    cases = {name: [ct_array(seed)] for seed, name in enumerate("abc")}
    return write_dataset(nnunet_folders / "nnUNet_raw", NAME, cases, ("CT",))


@pytest.fixture
def prepared(nnunet_folders):
    return nnunet_folders / "nnUNet_preprocessed" / NAME


def run(*more: str) -> None:
    main(["-d", "7", "-c", "3d_fullres", "--plans_from", "43", "-np", "1", *more])


def data(prepared, plans_name="nnUNetPlans_from_043"):
    return prepared / f"{plans_name}_3d_fullres"


def times(folder) -> dict:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.b2nd")}


def test_images_without_labels_become_ordinary_preprocessed_cases(raw, prepared, capsys):
    run()
    image = blosc2.open(str(data(prepared) / "a.b2nd"))
    segmentation = blosc2.open(str(data(prepared) / "a_seg.b2nd"))
    assert image.shape == segmentation.shape == (1, 5, 6, 7)
    assert set(np.unique(segmentation[:])) <= {-1, 0}
    # Clipped and scaled by the statistics of the images, in which air does not count.
    assert image[:].min() == pytest.approx(-2.6, abs=0.3)
    mark = ".made_by_nnunetv2_pcrl"
    assert {p.suffix or p.name for p in data(prepared).iterdir()} == {".b2nd", ".pkl", mark}
    command = "nnUNetv2_train Dataset007_Bare 3d_fullres all -tr PCRLv2PretrainTrainer -p"
    assert f"{command} nnUNetPlans_from_043\n" in capsys.readouterr().out
    assert json.loads((prepared / "dataset.json").read_text())["labels"] == {"background": 0}


def test_own_planning_names_its_plans_after_the_planner(raw, prepared):
    main(["-d", "7", "-c", "2d", "3d_lowres", "-np", "1"])
    assert (prepared / "nnUNetPlans_unlabelled_2d" / "a.b2nd").is_file()
    assert not (prepared / "nnUNetPlans_unlabelled_3d_fullres").exists()


def test_damaged_images_are_listed_and_the_others_prepared(raw, prepared, capsys):
    file = raw / "imagesTr" / "b_0000.nii.gz"
    content = file.read_bytes()
    file.write_bytes(content[:400])
    with pytest.raises(SystemExit, match="1"):
        run()
    text = capsys.readouterr().out
    assert "2 of 3 cases are ready" in text and "b: the compressed file is truncated" in text
    assert {p.stem for p in data(prepared).glob("*.pkl")} == {"a", "c"}
    run("--skip_bad")

    # Repaired: only the missing one is made.
    before = times(data(prepared))
    file.write_bytes(content)
    run()
    after = times(data(prepared))
    assert {p.stem for p in data(prepared).glob("*.pkl")} == {"a", "b", "c"}
    assert {name: after[name] for name in before} == before


def test_an_interrupted_case_is_made_again_and_a_removed_one_disappears(raw, prepared):
    run()
    before = times(data(prepared))
    (data(prepared) / "a.pkl").unlink()
    (raw / "imagesTr" / "c_0000.nii.gz").unlink()
    run()
    after = times(data(prepared))
    assert set(after) == {"a.b2nd", "a_seg.b2nd", "b.b2nd", "b_seg.b2nd"}
    assert after["a.b2nd"] > before["a.b2nd"] and after["b.b2nd"] == before["b.b2nd"]
    assert not list(prepared.glob(".*"))


def test_a_changed_image_is_made_again_and_clean_makes_all(raw, prepared):
    run()
    write_image(raw / "imagesTr" / "b_0000.nii.gz", ct_array(7, (20, 12, 14)))
    run()
    assert blosc2.open(str(data(prepared) / "b.b2nd")).shape == (1, 10, 6, 7)
    before = times(data(prepared))
    run("--clean")
    assert all(time > before[name] for name, time in times(data(prepared)).items())


def test_existing_plans_are_kept_with_what_a_person_changed(raw, prepared):
    run()
    file = prepared / "nnUNetPlans_from_043.json"
    content = json.loads(file.read_text())
    content["configurations"]["3d_fullres"]["nnunetv2_pcrl"] = {"pcrlv2": {"batch_size": 4}}
    file.write_text(json.dumps(content))
    run()
    assert json.loads(file.read_text()) == content


def test_test_images_are_prepared_on_request(raw, prepared):
    write_image(raw / "imagesTs" / "t_0000.nii.gz", ct_array(5))
    run("--include_test_images")
    assert (data(prepared) / "t.b2nd").is_file()


def test_plans_of_nnunet_and_of_another_target_are_never_replaced(raw, prepared, capsys):
    run()
    with pytest.raises(SystemExit, match="was planned for"):
        main(["-d", "7", "-np", "1", "--plans_name", "nnUNetPlans_from_043"])
    shutil.copy(prepared.parent / "Dataset043_Target" / "nnUNetPlans.json", prepared)
    with pytest.raises(SystemExit, match="was made by nnU-Net"):
        run("--plans_name", "nnUNetPlans", "--clean")


def test_the_fingerprint_that_nnunet_measured_stays(raw, prepared, capsys):
    prepared.mkdir()
    (prepared / "dataset_fingerprint.json").write_text('{"spacings": []}')
    run()
    assert (prepared / "dataset_fingerprint.json").read_text() == '{"spacings": []}'
    assert "--clean" not in capsys.readouterr().out


class FewSamples(DatasetFingerprintExtractor):
    """nnU-Net's own, which draws 10^8 intensities however small the images."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.num_foreground_voxels_for_intensitystats = 3000


def test_a_target_that_was_planned_anew_is_noticed(raw, prepared):
    run()
    file = prepared.parent / "Dataset043_Target" / "nnUNetPlans.json"
    content = json.loads(file.read_text())
    content["configurations"]["3d_fullres"]["spacing"] = [1.0, 1.0, 1.0]
    file.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="differ in the spacing of 3d_fullres"):
        run()
    run("--clean")
    assert blosc2.open(str(data(prepared) / "a.b2nd")).shape == (1, 10, 12, 14)


def test_a_channel_that_is_renamed_to_ct_is_measured_again(raw, prepared):
    file = raw / "dataset.json"
    ct = json.loads(file.read_text())
    file.write_text(json.dumps({**ct, "channel_names": {"0": "MRI"}}))
    run()
    file.write_text(json.dumps(ct))
    run("--plans_name", "Second")
    low = []
    for name in ("nnUNetPlans_from_043", "Second"):
        plans = json.loads((prepared / f"{name}.json").read_text())
        low.append(plans["foreground_intensity_properties_per_channel"]["0"]["min"])
    assert low[0] == -3024 and low[1] > -200


@pytest.mark.slow
def test_a_labelled_set_keeps_the_fingerprint_that_nnunet_measures(raw, prepared, monkeypatch):
    monkeypatch.setattr(prepare, "DatasetFingerprintExtractor", FewSamples)
    content = json.loads((raw / "dataset.json").read_text())
    content["labels"] = {"background": 0, "organ": 1}
    (raw / "dataset.json").write_text(json.dumps({**content, "numTraining": 3}))
    for name in "abc":
        label = np.zeros((10, 12, 14), np.uint8)
        label[4:6, 4:6, 4:6] = 1
        write_image(raw / "labelsTr" / f"{name}.nii.gz", label)
    run()
    fingerprint = json.loads((prepared / "dataset_fingerprint.json").read_text())
    assert "image_content" not in fingerprint
    assert json.loads((prepared / "dataset.json").read_text())["labels"] == content["labels"]
    # Images, not labels, made the plans' intensities.
    ours = json.loads((prepared / "nnUNetPlans_from_043.json").read_text())
    statistics = "foreground_intensity_properties_per_channel"
    assert ours[statistics]["0"] != fingerprint[statistics]["0"]


def test_a_variable_that_is_not_set_is_named(raw, monkeypatch):
    monkeypatch.delenv("nnUNet_preprocessed")
    with pytest.raises(SystemExit, match="nnUNet_preprocessed is not set"):
        run()


def test_what_cannot_be_prepared_ends_with_one_sentence(raw, prepared):
    with pytest.raises(SystemExit, match="none of the configurations 2d; it has 3d_fullres"):
        main(["-d", "7", "-c", "2d", "--plans_from", "43", "-np", "1"])
    with pytest.raises(SystemExit, match="Plan the target data set first"):
        main(["-d", "7", "--plans_from", "44", "-np", "1"])
    for name in "abc":
        write_image(raw / "imagesTr" / f"{name}_0000.nii.gz", np.zeros((5, 5, 5), np.int16))
    with pytest.raises(SystemExit, match="No image of Dataset007_Bare can be used:\n  a: all"):
        run()
    for file in (raw / "imagesTr").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(SystemExit, match="no reader for the 3 images"):
        run()


def test_channels_may_differ_from_those_of_the_target(nnunet_folders, target, prepared):
    cases = {name: [mr_array(0), mr_array(1), mr_array(2)] for name in "ab"}
    write_dataset(nnunet_folders / "nnUNet_raw", NAME, cases, ("T1", "T2", "FLAIR"))
    before = dict(os.environ)
    run()
    assert dict(os.environ) == before
    assert blosc2.open(str(data(prepared) / "a.b2nd")).shape[0] == 3


def test_cases_are_made_anew_when_a_person_changes_their_spacing(raw, prepared):
    run()
    file = prepared / "nnUNetPlans_from_043.json"
    second = json.loads(file.read_text())
    second |= {
        "plans_name": "Second",
        "planned_for": {"dataset_name": NAME, "plans_name": "Second"},
    }
    second["configurations"]["3d_fullres"]["spacing"] = [1.0, 1.0, 1.0]
    arguments = ["-d", "7", "-c", "3d_fullres", "-np", "1", "--plans_name", "Second"]
    (prepared / "Second.json").write_text(json.dumps(second))
    main(arguments)
    shape = blosc2.open(str(data(prepared) / "a.b2nd")).shape
    assert shape == (1, 10, 12, 14)
    before = times(data(prepared))
    second["configurations"]["3d_fullres"]["nnunetv2_pcrl"] = {"pcrlv2": {"batch_size": 4}}
    (prepared / "Second.json").write_text(json.dumps(second))
    main(arguments)
    assert times(data(prepared)) == before


def test_the_target_may_be_named_by_the_path_of_its_folder(raw, prepared, tmp_path):
    folder = prepared.parent / "Dataset043_Target"
    main(["-d", "7", "-c", "3d_fullres", "--plans_from", f"{folder}/", "-np", "1"])
    assert (prepared / "nnUNetPlans_from_043.json").is_file()
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(SystemExit, match="other.json holds no nnU-Net plans"):
        main(["-d", "7", "--plans_from", str(tmp_path / "other.json")])
    with pytest.raises(SystemExit, match=f"There is no {tmp_path}/nnUNetPlans.json"):
        main(["-d", "7", "--plans_from", str(tmp_path)])


def test_a_single_case_can_be_pretrained_on_and_is_warned_of(raw, prepared, capsys):
    for name in "bc":
        (raw / "imagesTr" / f"{name}_0000.nii.gz").unlink()
    run()
    plans = json.loads((prepared / "nnUNetPlans_from_043.json").read_text())
    assert plans["configurations"]["3d_fullres"]["nnunetv2_pcrl"] == {
        "pretraining": {"min_cases": 1}
    }
    assert "With a single case" in capsys.readouterr().out


def test_an_image_that_belongs_to_no_case_is_listed(raw, prepared, capsys):
    write_image(raw / "imagesTr" / "d.nii.gz", ct_array())
    with pytest.raises(SystemExit, match="1"):
        run()
    text = capsys.readouterr().out
    assert "3 of 3 cases are ready" in text
    assert "1 images belong to no case:" in text and "imagesTr/d.nii.gz: its name is not" in text
    run("--skip_bad")
