import json
import tarfile

import numpy as np
import pytest
import SimpleITK
from raw_images import mr_array, write_image

from nnunetv2_pcrl.cli.convert_msd import main
from nnunetv2_pcrl.preparation import msd_conversion

pytestmark = pytest.mark.slow


def write_4d(path, arrays) -> None:
    """Several modalities in one file, as in Task01 and Task05."""
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(array) for array in arrays])
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))


@pytest.fixture
def source(tmp_path):
    """A task of two modalities with the hidden files that the archives contain."""
    folder = tmp_path / "Task05_Prostate"
    label = np.zeros((10, 12, 14), np.uint8)
    label[4:6, 4:6, 4:6] = 1
    for number in (0, 1):
        write_4d(folder / "imagesTr" / f"prostate_{number:02d}.nii.gz", [mr_array(), mr_array(1)])
        write_image(folder / "labelsTr" / f"prostate_{number:02d}.nii.gz", label)
        (folder / "labelsTr" / f"._prostate_{number:02d}.nii.gz").touch()
    write_4d(folder / "imagesTs" / "prostate_03.nii.gz", [mr_array(), mr_array(1)])
    content = {
        "name": "PROSTATE",
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "numTraining": 2,
        "numTest": 1,
        "training": [],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def target(nnunet_folders):
    return nnunet_folders / "nnUNet_raw" / "Dataset005_Prostate"


def test_an_archive_is_unpacked_converted_and_checked(source, target, nnunet_folders, capsys):
    archive = source.with_suffix(".tar")
    with tarfile.open(archive, "w") as file:
        file.add(source, source.name)
    source.rename(source.with_name("elsewhere"))
    main([str(archive), "-np", "1"])
    assert "2 training and 1 test cases" in capsys.readouterr().out
    assert (target / "imagesTr" / "prostate_00_0001.nii.gz").is_file()
    assert not list((nnunet_folders / "nnUNet_raw").glob(".*"))
    # A second run checks only.
    main([str(archive), "-np", "1"])


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "Task05_Prostate/link"])
def test_an_archive_that_would_write_elsewhere_is_refused(source, tmp_path, capsys, name):
    archive = tmp_path / "Task06_Lung.tar"
    member = tarfile.TarInfo(name)
    if name.endswith("link"):
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(archive, "w") as file:
        file.addfile(member)
    with pytest.raises(SystemExit, match=f"holds {name}, which is no file or folder within it"):
        main([str(archive)])
    assert not (tmp_path / "Task06_Lung").exists()


def test_odd_cases_are_repaired_or_named_and_links_made(source, target, monkeypatch, capsys):
    # Single-modality tasks are copied unchanged by nnU-Net, so that links can stand for them.
    for folder in ("imagesTr", "imagesTs"):
        for path in (source / folder).iterdir():
            path.unlink()
            write_image(path, mr_array())
    content = json.loads((source / "dataset.json").read_text())
    content |= {"modality": {"0": "MRI"}, "numTraining": 3}
    (source / "dataset.json").write_text(json.dumps(content))
    write_image(source / "labelsTr" / "prostate_00.nii.gz", np.full((10, 12, 14), 7, np.uint8))
    moved = np.ones((10, 12, 14), np.uint8)
    write_image(source / "labelsTr" / "prostate_01.nii.gz", moved, origin=(5.0, 0.0, 0.0))
    with pytest.raises(SystemExit, match="1"):
        main([str(source), "-np", "1", "--link"])
    text = capsys.readouterr().out
    assert "prostate_00: label prostate_00.nii.gz has the values [7]; known: [0, 1, 2]" in text
    assert "prostate_01: label's header replaced by the image's (origin" in text
    assert "training cases: 2 were found, dataset.json says 3" in text
    assert (target / "imagesTr" / "prostate_00_0000.nii.gz").is_symlink()
    assert not (target / "labelsTr" / "prostate_01.nii.gz").is_symlink()
    label = SimpleITK.ReadImage(str(target / "labelsTr" / "prostate_01.nii.gz"))
    assert label.GetOrigin() == (0.0, 0.0, 0.0)


def test_what_is_no_task_is_refused(source, tmp_path, nnunet_folders, monkeypatch):
    with pytest.raises(SystemExit, match=r"has no dataset\.json"):
        main([str(tmp_path)])
    (nnunet_folders / "nnUNet_preprocessed" / "Dataset005_Prostate").mkdir()
    with pytest.raises(SystemExit, match="already taken"):
        main([str(source), "-np", "1"])
    (nnunet_folders / "nnUNet_raw" / "Dataset006_Lung").mkdir()
    with pytest.raises(SystemExit, match="6 is taken by Dataset006_Lung"):
        main([str(source), "-d", "6", "-np", "1"])
    monkeypatch.setattr(msd_conversion, "convert_msd_dataset", None)
    other = source.rename(source.with_name("Prostate"))
    with pytest.raises(SystemExit, match="not of the form TaskNN_Name"):
        main([str(other), "-np", "1"])


@pytest.mark.parametrize("name", ["Task05_Prostate (1).tar", "prostate.tar.gz", "x.tgz"])
def test_an_archive_may_have_any_name(source, target, name, capsys):
    archive = source.parent / "download" / name
    archive.parent.mkdir()
    with tarfile.open(archive, "w" if name.endswith("tar") else "w:gz") as file:
        file.add(source, source.name)
    main([str(archive), "-np", "1"])
    text = capsys.readouterr().out
    assert "2 training and 1 test cases" in text
    assert "Next: nnUNetv2_plan_and_preprocess -d 5" in text
    assert {p.name for p in archive.parent.iterdir()} == {name, "Task05_Prostate"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("part", [0.5, 0.95])
def test_a_truncated_archive_is_named_and_leaves_nothing(source, nnunet_folders, mode, part):
    archive = source.parent / "download" / "Task05_Prostate.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, mode) as file:
        file.add(source, source.name)
    content = archive.read_bytes()
    # The end of a tar file is padding.
    end = content.rstrip(b"\0")
    archive.write_bytes(end[: int(part * len(end))])
    with pytest.raises(SystemExit, match=f"^ERROR: {archive} is truncated or damaged .* again"):
        main([str(archive), "-np", "1"])
    assert [p.name for p in archive.parent.iterdir()] == [archive.name]


def test_an_archive_of_something_else_says_what_it_holds(tmp_path, nnunet_folders):
    archive = tmp_path / "other.tar"
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).touch()
    with tarfile.open(archive, "w") as file:
        for name in ("a.txt", "b.txt"):
            file.add(tmp_path / name, name)
    with pytest.raises(SystemExit, match=r"holds a\.txt, b\.txt, and not one folder TaskNN_Name"):
        main([str(archive)])
    (tmp_path / "no.tar").write_text("no archive")
    with pytest.raises(SystemExit, match=r"no\.tar is no tar archive"):
        main([str(tmp_path / "no.tar")])
    with pytest.raises(SystemExit, match=r"There is no .*none\.tar"):
        main([str(tmp_path / "none.tar")])


def test_damaged_files_are_named_before_anything_is_converted(source, nnunet_folders):
    file = source / "imagesTr" / "prostate_00.nii.gz"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(SystemExit, match=r"prostate_00\.nii\.gz: the compressed file is truncated"):
        main([str(source), "-np", "1"])
    assert not list((nnunet_folders / "nnUNet_raw").iterdir())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ["background"]}, "see labels"),
        ({"labels": {"background": 0}}, "see labels"),
        ({"numTraining": "2"}, "see numTraining"),
        ({"modality": None}, "see modality"),
    ],
)
def test_an_odd_description_is_one_sentence(source, nnunet_folders, values, message):
    content = json.loads((source / "dataset.json").read_text())
    (source / "dataset.json").write_text(json.dumps({**content, **values}))
    with pytest.raises(SystemExit, match=f"^ERROR: .*is not as published: {message}"):
        main([str(source), "-np", "1"])


def test_a_part_of_a_task_succeeds_on_request_and_files_of_others_are_named(source, target, capsys):
    content = json.loads((source / "dataset.json").read_text())
    (source / "dataset.json").write_text(json.dumps({**content, "numTraining": 32}))
    (source / "notes.txt").touch()
    main([str(source), "-np", "1", "--subset"])
    text = capsys.readouterr().out
    assert "training cases: 2 were found, dataset.json says 32" in text
    assert "notes.txt: no part of the task" in text


def test_a_data_set_of_somebody_else_stays_as_it_is(source, target):
    target.mkdir()
    (target / "dataset.json").write_text('{"labels": {"background": 0}}')
    with pytest.raises(SystemExit, match="is a data set already, not ours; it stays as it is"):
        main([str(source), "-np", "1"])
