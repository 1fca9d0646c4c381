import shutil
from collections import namedtuple

import pytest

from nnunetv2_pcrl.doctor.folders import examine_folders, shown

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """nnU-Net's three folders, all as they should be."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 0, 2**40))
    return tmp_path


def test_folders_that_are_there_are_no_problem(folders):
    section = examine_folders()
    assert section.problems == ()
    assert (
        section.facts["nnUNet_raw"] == f"{shown(folders / 'nnUNet_raw')}: writable, 1024.0 GiB free"
    )


@pytest.mark.parametrize(
    ("variable", "stops"),
    [("nnUNet_raw", False), ("nnUNet_preprocessed", True), ("nnUNet_results", True)],
)
def test_a_variable_that_is_not_set_is_named_with_how_to_set_it(
    folders, monkeypatch, variable, stops
):
    monkeypatch.delenv(variable)
    (problem,) = examine_folders().problems
    assert variable in problem.text
    assert problem.remedy.startswith(f"export {variable}=")
    assert problem.stops is stops


def test_a_folder_that_does_not_exist_is_named_with_how_to_make_it(folders, monkeypatch):
    monkeypatch.setenv("nnUNet_preprocessed", str(folders / "not_there"))
    (problem,) = examine_folders().problems
    assert problem.stops
    assert problem.remedy == f"mkdir -p {shown(folders / 'not_there')}"


@pytest.mark.parametrize("is_writable", [True, False])
def test_results_that_do_not_exist_are_made_by_a_training_where_it_can(
    folders, monkeypatch, is_writable
):
    monkeypatch.setenv("nnUNet_results", str(folders / "not" / "there"))
    monkeypatch.setattr("os.access", lambda path, mode: is_writable or path != folders)
    (problem,) = examine_folders().problems
    assert problem.stops is not is_writable
    assert problem.remedy == f"mkdir -p {shown(folders / 'not' / 'there')}"


def test_results_that_cannot_be_written_stop_a_training(folders, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (problem,) = examine_folders().problems
    assert problem.stops
    assert "cannot be written" in problem.text


@pytest.mark.parametrize(("free_gib", "stops"), [(0.5, True), (5, False)])
def test_a_disk_with_little_space_is_named_with_the_number(folders, monkeypatch, free_gib, stops):
    usage = Usage(2**40, 0, int(free_gib * 2**30))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    (problem,) = examine_folders().problems
    assert ("512 MiB" if stops else "5.0 GiB") in problem.text
    assert problem.stops is stops


def test_a_home_is_not_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shown(tmp_path / "data" / "results") == "~/data/results"
