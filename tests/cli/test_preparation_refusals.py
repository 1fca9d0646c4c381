"""What the preparation refuses, before it writes anything, and whose folders it leaves alone."""

import gzip
import json
import shutil

import blosc2
import numpy as np
import pytest
import SimpleITK
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from prepared_dataset import configuration, plans
from raw_images import ct_array, write_dataset, write_image

from nnunetv2_pcrl.cli.plan_and_preprocess import main

pytestmark = pytest.mark.slow

NAME = "Dataset007_Bare"


@pytest.fixture
def target(nnunet_folders):
    """Plans of Dataset043_Target, MR."""
    folder = nnunet_folders / "nnUNet_preprocessed" / "Dataset043_Target"
    folder.mkdir()
    content = plans({"3d_fullres": configuration(3, spacing=[2.0, 2.0, 2.0])})
    content |= {"dataset_name": "Dataset043_Target"}
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))
    return folder / "nnUNetPlans.json"


@pytest.fixture
def raw(nnunet_folders, target):
    cases = {name: [ct_array(seed)] for seed, name in enumerate("abc")}
    return write_dataset(nnunet_folders / "nnUNet_raw", NAME, cases, ("CT",))


@pytest.fixture
def prepared(nnunet_folders):
    return nnunet_folders / "nnUNet_preprocessed" / NAME


def run(*more: str) -> None:
    main(["-d", "7", "-c", "3d_fullres", "--plans_from", "43", "-np", "1", *more])


def data(prepared):
    return prepared / "nnUNetPlans_from_043_3d_fullres"


def edit(path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def name_data_folder(prepared, name) -> None:
    file = prepared / "nnUNetPlans_from_043.json"
    content = json.loads(file.read_text())
    content["configurations"]["3d_fullres"]["data_identifier"] = name
    file.write_text(json.dumps(content))


def content_of(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def labelled_cases(folder) -> dict[str, bytes]:
    """Cases with labels, as nnU-Net leaves them."""
    folder.mkdir(parents=True)
    for name in "ab":
        for ending in ("", "_seg"):
            array = np.ones((1, 4, 4, 4), np.float32)
            blosc2.asarray(array, urlpath=str(folder / f"{name}{ending}.b2nd"))
        (folder / f"{name}.pkl").write_bytes(b"properties")
    return content_of(folder)


@pytest.mark.parametrize("clean", [[], ["--clean"]])
def test_labelled_cases_are_never_replaced_though_plans_share_their_folder(raw, prepared, clean):
    run()
    before = labelled_cases(prepared / "nnUNetPlans_3d_fullres")
    name_data_folder(prepared, "nnUNetPlans_3d_fullres")
    if clean:
        run(*clean)
    else:
        with pytest.raises(SystemExit, match="holds what this command did not make, perhaps cases"):
            run()
    assert content_of(prepared / "nnUNetPlans_3d_fullres") == before


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("{victim}", []),
        ("../../victim", []),
        ("..", []),
        ("", []),
        (7, []),
        ("{victim}", ["--clean"]),
    ],
)
def test_a_data_folder_elsewhere_is_not_touched(raw, prepared, tmp_path, name, clean):
    run()
    victim = tmp_path / "victim"
    before = labelled_cases(victim)
    name = name.format(victim=victim) if isinstance(name, str) else name
    name_data_folder(prepared, name)
    if clean:
        run(*clean)
    else:
        with pytest.raises(SystemExit, match="is no plain file name"):
            run()
    assert content_of(victim) == before


def test_two_plans_of_ours_may_share_their_cases(raw, prepared):
    run()
    first = data(prepared).stat().st_ino
    content = json.loads((prepared / "nnUNetPlans_from_043.json").read_text())
    (prepared / "Second.json").write_text(json.dumps({**content, "plans_name": "Second"}))
    run("--plans_name", "Second")
    assert data(prepared).stat().st_ino == first
    assert not (prepared / "Second_3d_fullres").exists()


@pytest.mark.parametrize("name", ["../../../../victim/evil", "/evil", "..", ""])
def test_case_names_stay_inside_and_others_are_listed(raw, prepared, tmp_path, name, capsys):
    image = str(raw / "imagesTr" / "a_0000.nii.gz")
    edit(raw / "dataset.json", dataset={name: {"images": [image]}, "good": {"images": [image]}})
    before = {p for p in tmp_path.rglob("*") if "evil" in p.name}
    run("--skip_bad")
    text = capsys.readouterr().out
    assert f"case name {name!r} is no plain file name" in text and "1 of 2 cases" in text
    assert {p.stem for p in data(prepared).glob("*.pkl")} == {"good"}
    assert {p for p in tmp_path.rglob("*") if "evil" in p.name} == before


def test_cases_that_nnunet_would_take_for_segmentations_are_listed(raw, prepared, capsys):
    for name in ("a_seg", "scan_seg"):
        write_image(raw / "imagesTr" / f"{name}_0000.nii.gz", ct_array(9))
    with pytest.raises(SystemExit, match="1"):
        run()
    text = capsys.readouterr().out
    assert "3 of 5 cases are ready" in text
    assert """a_seg: case name 'a_seg' ends with "_seg", which nnU-Net takes for a seg""" in text
    assert blosc2.open(str(data(prepared) / "a_seg.b2nd")).dtype == np.int16


@pytest.mark.parametrize("name", ["../x", "", "a/b"])
def test_a_plans_name_is_a_plain_name(raw, nnunet_folders, name):
    with pytest.raises(SystemExit, match="is no plain file name|was planned"):
        run("--plans_name", name or "/")
    assert not (nnunet_folders / "nnUNet_preprocessed" / "x.json").exists()


@pytest.mark.parametrize(
    ("labels", "more", "message"),
    [
        ({"0": "background", "1": "liver"}, {}, r'names first: \{"background": 0, "liver": 1\}'),
        ({"liver": 1}, {}, r'must name the background: \{"background": 0, "liver": 1\}'),
        ({"background": 0, "whole": [1, 2], "core": [2]}, {}, 'needs "regions_class_order"'),
        (
            {"background": 0, "whole": [1, 2], "core": [2]},
            {"regions_class_order": [1]},
            "as many entries as there are regions",
        ),
        ({"background": 0, "liver": 1, "ignore": 1}, {}, "ignore label it must have the highest"),
        ({"background": 1}, {}, "Background label must be 0"),
        ({"background": 0, "liver": {}}, {}, 'does not take the "labels"'),
        (["background"], {}, r'must be like \{"background": 0'),
    ],
)
def test_labels_that_end_a_training_end_the_preparation(raw, prepared, labels, more, message):
    edit(raw / "dataset.json", labels=labels, **more)
    with pytest.raises(SystemExit, match=message):
        run()
    assert not prepared.exists()


def test_regions_with_an_order_are_taken_and_follow_a_correction(raw, prepared):
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    edit(raw / "dataset.json", labels=labels, regions_class_order=[1, 2])
    run()
    edit(raw / "dataset.json", labels=labels, regions_class_order=[2, 1])
    run()
    assert json.loads((prepared / "dataset.json").read_text())["regions_class_order"] == [2, 1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channel_names": {"0": 1}}, 'needs "channel_names"'),
        ({"channel_names": ["CT"]}, 'needs "channel_names"'),
        ({"channel_names": {"1": "CT"}}, 'needs "channel_names"'),
        ({"file_ending": 3}, '"file_ending"'),
        ({"overwrite_image_reader_writer": 3}, "must be the name of a reader"),
        ({"file_ending": ""}, '"file_ending"'),
        ({"dataset": ["a.nii.gz"]}, '"dataset" in .* must name cases'),
        ({"dataset": {"a": "x.nii.gz"}}, 'Case a in .* names no "images"'),
        ({"dataset": {"a": {"images": [3]}}}, 'Case a in .* names no "images"'),
        ({"dataset": {"a": {"images": "x.nii.gz"}}}, 'Case a in .* names no "images"'),
    ],
)
def test_an_odd_dataset_json_is_one_sentence(raw, values, message):
    edit(raw / "dataset.json", **values)
    with pytest.raises(SystemExit, match=f"^ERROR: .*{message}"):
        run()


@pytest.mark.parametrize("content", ["[]", "{}", '{"configurations": []}', "no json", "\udcff"])
def test_odd_plans_are_one_sentence(raw, prepared, target, content):
    target.write_text(content, errors="surrogateescape")
    with pytest.raises(SystemExit, match=r"nnUNetPlans\.json (holds|is no valid)"):
        run()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inherits_from": "none"}, "cannot read the configuration 3d_fullres"),
        ({"inherits_from": "3d_fullres"}, "cannot read the configuration 3d_fullres"),
        ({"architecture": {}}, "the configuration 3d_fullres has no data_identifier, patch_size"),
    ],
)
def test_a_configuration_that_nnunet_cannot_read_is_named(raw, target, values, message):
    edit(target, configurations={"3d_fullres": values})
    with pytest.raises(SystemExit, match=message):
        run()


def flip_a_bit(file) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    file.write_bytes(content)


@pytest.mark.parametrize("damaged", "abc")
def test_a_flipped_bit_is_found_in_whichever_image(raw, prepared, damaged, capsys):
    flip_a_bit(raw / "imagesTr" / f"{damaged}_0000.nii.gz")
    run("--skip_bad")
    assert f"{damaged}: the compressed file is" in capsys.readouterr().out
    made = json.loads((prepared / "nnUNetPlans_from_043.json").read_text())
    assert made["image_reader_writer"] == "SimpleITKIO"
    assert {p.stem for p in data(prepared).glob("*.pkl")} == set("abc") - {damaged}


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_damage_in_formats_whose_readers_do_not_check_is_found(raw, prepared, ending, capsys):
    for file in list((raw / "imagesTr").iterdir()):
        image = SimpleITK.ReadImage(str(file))
        new = file.with_name(file.name.replace(".nii.gz", ending))
        SimpleITK.WriteImage(image, str(new), True)
        file.unlink()
    edit(raw / "dataset.json", file_ending=ending)
    flip_a_bit(raw / "imagesTr" / f"b_0000{ending}")
    run("--skip_bad")
    assert "2 of 3 cases are ready" in capsys.readouterr().out
    assert {p.stem for p in data(prepared).glob("*.pkl")} == {"a", "c"}


def test_plain_files_with_the_name_of_compressed_ones_are_prepared(raw, prepared):
    file = raw / "imagesTr" / "a_0000.nii.gz"
    file.write_bytes(gzip.decompress(file.read_bytes()))
    with open(raw / "imagesTr" / "b_0000.nii.gz", "ab") as behind:
        behind.write(b"garbage!")
    run()
    assert {p.stem for p in data(prepared).glob("*.pkl")} == set("abc")


def test_reasons_are_those_a_person_understands(raw, prepared, capsys):
    folder = raw / "imagesTr"
    colours = np.random.default_rng(0).integers(0, 255, (6, 7, 8, 3)).astype(np.uint8)
    rgb = SimpleITK.GetImageFromArray(colours, isVector=True)
    SimpleITK.WriteImage(rgb, str(folder / "rgb_0000.nii.gz"))
    imaginary = ct_array().astype(np.complex64)
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(imaginary), str(folder / "complex_0000.nii.gz")
    )
    write_image(folder / "thin_0000.nii.gz", ct_array(), (0.01, 0.01, 50.0))
    write_image(folder / "huge_0000.nii.gz", ct_array(), (300.0, 300.0, 300.0))
    run("--skip_bad")
    text = capsys.readouterr().out
    assert "rgb: it is a colour image (3 values per voxel)" in text
    assert "complex: its values are complex numbers; save their magnitude" in text
    assert "thin: its spacing is 50 x 0.01 x 0.01 mm, and at the plan's 2 x 2 x 2 mm" in text
    assert "huge: its spacing is 300 x 300 x 300 mm" in text and "correct its header" in text
    assert {p.stem for p in data(prepared).glob("*.pkl")} == set("abc")


def test_the_normalisation_of_the_target_is_taken_on_request(raw, prepared):
    run("--normalization", "target")
    made = json.loads((prepared / "nnUNetPlans_from_043.json").read_text())
    values = made["configurations"]["3d_fullres"]
    assert values["normalization_schemes"] == ["ZScoreNormalization"]
    image = blosc2.open(str(data(prepared) / "a.b2nd"))[:]
    assert image.mean() == pytest.approx(0, abs=0.05)


def test_a_rerun_does_not_pass_over_another_normalisation(raw, prepared):
    run()
    with pytest.raises(SystemExit, match="normalises by the images' own intensities"):
        run("--normalization", "target")
    run("--normalization", "target", "--clean")
    # Kept, with what a person may have edited since.
    run()
    with pytest.raises(SystemExit, match="goes with --plans_from"):
        main(["-d", "7", "--normalization", "target"])


def test_an_error_of_the_system_names_file_reason_and_remedy(raw, prepared, monkeypatch):
    def refuse(path, *arguments, **more):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(SystemExit, match=f"^ERROR: {prepared}: Permission denied; give yourself"):
        run()


def test_the_folder_of_the_cases_is_marked_as_ours(raw, prepared):
    run()
    mark = data(prepared) / ".made_by_nnunetv2_pcrl"
    assert "nnUNetv2_pcrl_plan_and_preprocess" in (mark / "about.txt").read_text()
    # nnU-Net knows the kind of the cases by the endings of all files.
    assert infer_dataset_class(str(data(prepared))).__name__ == "nnUNetDatasetBlosc2"
    shutil.rmtree(mark)
    with pytest.raises(SystemExit, match="holds what this command did not make"):
        run()


def test_a_data_set_that_cannot_be_prepared_does_not_stop_the_others(raw, prepared, capsys):
    with pytest.raises(SystemExit, match="^1$"):
        main(["-d", "8", "7", "-c", "3d_fullres", "--plans_from", "43", "-np", "1", "--skip_bad"])
    text = capsys.readouterr().out
    assert "3 of 3 cases are ready" in text
    assert "1 data sets could not be prepared:" in text and "8: Data set 8 must be" in text
