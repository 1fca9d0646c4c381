import json

import pytest

from nnunetv2_pcrl.cli.doctor import main
from nnunetv2_pcrl.doctor import lookup
from nnunetv2_pcrl.doctor.findings import Problem, Section
from nnunetv2_pcrl.doctor.page import as_text, problems_in
from nnunetv2_pcrl.registration import EXTERNAL_TRAINERS_VARIABLE, register, trainer_folder
from nnunetv2_pcrl.trainers import BASES

SECTIONS = [
    Section("Disks", {"free": "1 GiB", "a longer name": "2"}, (Problem("one is slow", "wait"),)),
    Section("Engines", {"running": "none"}, (Problem("all are off", "start one", stops=True),)),
]


@pytest.fixture
def fit_folders(tmp_path, monkeypatch):
    monkeypatch.setattr("nnunetv2_pcrl.doctor.folders.SCARCE_BYTES", 0)
    monkeypatch.setattr("nnunetv2_pcrl.doctor.machine.SCARCE_SHARED", 0)
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(variable, str(tmp_path))


@pytest.fixture
def two_trainers(monkeypatch):
    """nnU-Net looks two of our trainers up: for every one it searches all folders."""
    names = ("PCRLv2PretrainTrainer", "PCRLv2FinetuneTrainer")
    monkeypatch.setattr("nnunetv2_pcrl.trainers.trainer_names", lambda: names)


def test_the_page_begins_with_what_stops_a_training_and_how_to_mend_it():
    lines = as_text(SECTIONS).splitlines()
    assert lines[:5] == [
        "A training would not run: 1 of 2 findings would stop it.",
        "  1. STOPS TRAINING: all are off.",
        "     Remedy: start one",
        "  2. note: one is slow.",
        "     Remedy: wait",
    ]
    assert "  free           1 GiB" in lines
    assert [problem.stops for problem in problems_in(SECTIONS)] == [True, False]


@pytest.mark.slow
def test_where_all_is_well_every_trainer_is_found_and_the_status_is_0(fit_folders, capsys):
    main([])
    page = capsys.readouterr().out
    assert page.startswith("A training can run")
    assert f"  PCRLv2         {', '.join(BASES)}\n" in page
    assert "Searching in" not in page


@pytest.mark.slow
def test_what_would_stop_a_training_ends_with_status_1_as_json_too(
    fit_folders, two_trainers, monkeypatch, capsys
):
    monkeypatch.delenv("nnUNet_results")
    with pytest.raises(SystemExit) as end:
        main(["--json"])
    assert end.value.code == 1
    sections = {section["title"]: section for section in json.loads(capsys.readouterr().out)}
    (problem,) = sections["nnU-Net's folders"]["problems"]
    assert problem["stops"]


def test_a_number_that_ends_nnunets_import_is_said_in_its_place(
    fit_folders, two_trainers, monkeypatch, capsys
):
    monkeypatch.setenv("nnUNet_def_n_proc", "many")
    with pytest.raises(SystemExit):
        main([])
    assert "nnUNet_def_n_proc is 'many'" in capsys.readouterr().out


def test_trainers_that_nnunet_does_not_find_stop_a_training(two_trainers, monkeypatch):
    monkeypatch.delenv(EXTERNAL_TRAINERS_VARIABLE)
    section = lookup.examine_lookup()
    (problem,) = section.problems
    assert problem.stops
    assert "TORCH_DEVICE_BACKEND_AUTOLOAD" in problem.remedy
    assert section.facts["PCRLv2"] == "none"


def test_folders_of_other_trainers_that_do_not_exist_are_remarked(
    two_trainers, monkeypatch, tmp_path
):
    monkeypatch.setenv(EXTERNAL_TRAINERS_VARIABLE, str(tmp_path / "gone"))
    register()
    assert lookup.other_folders() == [str(tmp_path / "gone")]
    assert trainer_folder() not in lookup.other_folders()
    (problem,) = lookup.examine_lookup().problems
    assert "1 folders that do not exist" in problem.text
    assert not problem.stops
