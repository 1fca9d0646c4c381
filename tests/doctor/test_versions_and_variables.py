import importlib

import pytest
from packaging.requirements import Requirement

from nnunetv2_pcrl import __version__
from nnunetv2_pcrl.doctor import versions
from nnunetv2_pcrl.doctor.variables import examine_variables, unreadable_numbers


def test_versions_name_what_the_package_needs_and_nothing_of_its_extras():
    facts = versions.examine_versions().facts
    assert facts["nnunetv2_pcrl"] == __version__
    assert {"torch", "nnunetv2", "dynamic-network-architectures", "batchgenerators"} <= set(facts)
    assert "pytest" not in facts


@pytest.mark.parametrize(
    ("requirement", "stops"), [("nnunetv2<2", False), ("no-such-package>=1", True)]
)
def test_packages_that_do_not_fit_are_named_with_how_to_install(monkeypatch, requirement, stops):
    monkeypatch.setattr(versions, "requirements", lambda: [Requirement(requirement)])
    (problem,) = versions.examine_versions().problems
    assert requirement in problem.text
    assert problem.remedy == f"pip install '{requirement}'"
    assert problem.stops is stops


def test_an_import_that_fails_stops_and_says_why(monkeypatch):
    def fail(name):
        raise RuntimeError("operator torchvision::nms does not exist\nand so on")

    monkeypatch.setattr(importlib, "import_module", fail)
    (problem,) = versions.examine_versions().problems
    assert "torch cannot be imported (RuntimeError: operator torchvision::nms" in problem.text
    assert "and so on" not in problem.text
    assert problem.stops


def test_variables_are_shown_without_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_compile", "f")
    monkeypatch.setenv("nnUNet_pcrl_weights", str(tmp_path / "weights.pth"))
    section = examine_variables()
    assert section.facts["nnUNet_compile"] == "f"
    assert section.facts["nnUNet_pcrl_weights"] == "a path where nothing is"
    (problem,) = section.problems
    assert "nnUNet_pcrl_weights names no file" in problem.text


def test_no_workers_are_remarked_because_planning_fails_with_none(monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    (problem,) = examine_variables().problems
    assert "planning fails" in problem.text
    assert not problem.stops


def test_a_number_that_is_none_stops_every_command_of_nnunet(monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "many")
    (problem,) = unreadable_numbers()
    assert "nnUNet_def_n_proc is 'many'" in problem.text
    assert problem.stops
