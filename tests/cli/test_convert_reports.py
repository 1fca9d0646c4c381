"""What every converter tells: what is missing, files of others, bounded lists, the next command."""

import csv

import pytest
from published import OLD, tumour, write_brats_case
from raw_images import ct_array, write_image

from nnunetv2_pcrl.cli.convert import brats, chexpert, lits, luna16
from nnunetv2_pcrl.cli.messages import print_bounded

UIDS = [f"1.3.6.1.4.1.14519.5.2.1.6279.6001.10000000{i}" for i in range(2)]


@pytest.fixture
def luna(tmp_path, nnunet_folders):
    source = tmp_path / "LUNA16"
    for number, uid in enumerate(UIDS):
        write_image(source / f"subset{number}" / f"{uid}.mhd", ct_array(number))
    (source / "readme.txt").touch()
    return source


def test_a_part_of_a_benchmark_succeeds_if_it_is_said_to_be_one(luna, capsys):
    with pytest.raises(SystemExit, match="1"):
        luna16([str(luna), "-d", "16", "-np", "1"])
    text = capsys.readouterr().out
    assert "training cases: 2 were found, LUNA16 has 888" in text
    assert "give --subset if a part of the benchmark is what you want" in text
    luna16([str(luna), "-d", "16", "-np", "1", "--subset"])
    text = capsys.readouterr().out
    assert "Next: nnUNetv2_pcrl_plan_and_preprocess -d 16 -c 3d_fullres" in text


def test_a_damaged_scan_is_no_missing_one(luna, capsys):
    (luna / "subset0" / f"{UIDS[0]}.raw").write_bytes(b"cut")
    with pytest.raises(SystemExit, match="1"):
        luna16([str(luna), "-d", "16", "-np", "1", "--subset"])
    text = capsys.readouterr().out
    assert "1 things are odd" in text and "or give --skip_bad" in text and "Next" not in text


def test_files_of_others_are_named_and_no_failure(luna, nnunet_folders, capsys):
    luna16([str(luna), "-d", "16", "-np", "1", "--subset"])
    assert f"{luna / 'readme.txt'}: no part of LUNA16" in capsys.readouterr().out
    manifest = nnunet_folders / "nnUNet_raw" / "Dataset016_LUNA16" / "manifest.csv"
    with open(manifest, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["source"] for row in rows if not row["identifier"]} == {
        str(luna / "readme.txt"),
        "training cases",
    }


def test_lists_are_bounded_by_reason_and_say_where_the_rest_is(capsys):
    failed = {f"image{n}": "there is no such file" for n in range(200_000)} | {"x": "it is damaged"}
    print_bounded(failed, "things are odd", "All of them are in manifest.csv.")
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0] == "200001 things are odd:"
    assert lines[-4:] == [
        "  image4: there is no such file",
        "  and 199995 more: there is no such file",
        "  x: it is damaged",
        "  All of them are in manifest.csv.",
    ]
    assert len(lines) == 9


def test_lists_of_many_reasons_are_bounded_too(capsys):
    print_bounded({f"image{n}": f"reason {n}" for n in range(50)}, "things", "All are there.")
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-2:] == ["  and 30 more of other kinds", "  All are there."]


def test_short_lists_are_whole(capsys):
    print_bounded({"a": "reason"}, "things", "All are there.")
    assert capsys.readouterr().out == "\n1 things:\n  a: reason\n"


def test_the_full_release_of_chexpert_is_converted(tmp_path, nnunet_folders, capsys):
    first = tmp_path / "in" / "CheXpert-v1.0 batch 1 (validate & csv)"
    rows = {"train": [], "valid": []}
    for number in range(1, 7):
        name = f"patient{number:05d}/study1/view1_frontal.jpg"
        batch = (number - 1) // 2
        folder = first.with_name(f"CheXpert-v1.0 batch {2 + batch} (train {1 + batch})")
        write_image(folder / name, ct_array()[0].clip(0, 255).astype("u1"), (1.0, 1.0), (0.0, 0.0))
        rows["train"].append(f"CheXpert-v1.0/train/{name}")
    name = "patient64541/study1/view1_frontal.jpg"
    image = ct_array()[0].clip(0, 255).astype("u1")
    write_image(first / "valid" / name, image, (1.0, 1.0), (0.0, 0.0))
    rows["valid"].append(f"CheXpert-v1.0/valid/{name}")
    for part, paths in rows.items():
        with open(first / f"{part}.csv", "w", newline="") as file:
            header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding"]
            csv.writer(file).writerows(
                [header, *([path, "Male", 60, "Frontal", "AP", 1] for path in paths)]
            )
    chexpert([str(tmp_path / "in"), "-d", "15", "-np", "1", "--link", "--subset"])
    text = capsys.readouterr().out
    assert "6 training and 1 test cases" in text
    assert "Next: nnUNetv2_pcrl_plan_and_preprocess -d 15 -c 2d" in text


def test_scans_wrapped_in_folders_of_their_name_are_found(tmp_path, nnunet_folders, capsys):
    source = tmp_path / "LITS17"
    write_image(source / "volume-0.nii" / "volume-0.nii", ct_array())
    label = (ct_array() > 0).astype("u1")
    write_image(source / "segmentation-0.nii" / "segmentation 0.nii", label)
    (source / "volume-1.nii").mkdir()
    lits([str(source), "-d", "17", "-np", "1", "--skip_bad"])
    text = capsys.readouterr().out
    assert (
        "1 training and 0 test cases" in text and "Next: nnUNetv2_plan_and_preprocess -d 17" in text
    )
    assert f"{source / 'volume-1.nii'}: a folder that does not hold just one scan" in text


def test_brats_wrapped_in_folders_is_found(tmp_path, nnunet_folders, capsys):
    case = tmp_path / "in" / "BraTS2021_00000" / "BraTS2021_00000"
    write_brats_case(case, OLD, tumour())
    flair = case / "BraTS2021_00000_flair.nii.gz"
    inner = flair.rename(case / "x.nii.gz")
    flair.mkdir()
    inner.rename(flair / "00000057_brain_flair.nii.gz")
    brats([str(tmp_path / "in"), "-d", "43", "-np", "1", "--subset"])
    text = capsys.readouterr().out
    assert "1 training and 0 test cases" in text and "no part of" not in text
