"""What forms, workflows, hooks and citations refer to exists, and says what the package says."""

import configparser
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from make_reference import commands
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from nnunetv2_pcrl import __version__

ROOT = Path(__file__).resolve().parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
configuration = configparser.ConfigParser()
configuration.read(ROOT / "setup.cfg")


def loaded(name: str):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


WORKFLOW = loaded(".github/workflows/ci.yml")
HOOKS = loaded(".pre-commit-config.yaml")["repos"][0]["hooks"]
STEPS = [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]


def scripts_in(text: str) -> list[str]:
    return re.findall(r"\bbash (\S+)", text)


@pytest.mark.parametrize("command", STEPS)
def test_what_the_workflow_runs_exists(command):
    for script in scripts_in(command):
        assert (ROOT / script).is_file()
    for extra in re.findall(r"\.\[([\w,]+)\]", command):
        assert set(extra.split(",")) <= set(configuration["options.extras_require"])
    for marker in re.findall(r'-m "not (\w+)"', command):
        pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert f'markers = ["{marker}:' in pyproject


def test_the_workflow_runs_the_script_that_runs_everything():
    assert any(".ci/run" in scripts_in(command) for command in STEPS)
    assert scripts_in((ROOT / ".ci" / "run").read_text()) == ["scripts/test.sh"]


def test_the_workflow_covers_every_python_and_the_oldest_torch_that_setup_cfg_allows():
    matrix = WORKFLOW["jobs"]["versions"]["strategy"]["matrix"]
    allowed = SpecifierSet(configuration["options"]["python_requires"])
    assert all(version in allowed for version in matrix["python"])
    assert min(matrix["python"], key=lambda v: int(v.split(".")[1])) in str(allowed)
    (oldest,) = (one["torch"] for one in matrix["include"])
    lines = configuration["options"]["install_requires"].split("\n")
    (torch,) = (Requirement(line) for line in lines if line.startswith("torch>"))
    assert str(torch.specifier) == f">={oldest.removesuffix('.*')}"


def test_only_nnunets_master_may_fail():
    may_fail = {
        name for name, job in WORKFLOW["jobs"].items() if job.get("continue-on-error", False)
    }
    assert may_fail == {"nnunet-master"}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_is_a_module_that_the_tests_extra_pins(hook):
    python, option, module, *_ = shlex.split(hook["entry"])
    assert (python, option) == ("python", "-m")
    assert find_spec(module) is not None
    lines = configuration["options.extras_require"]["test"].split("\n")
    pinned = {
        one.name.replace("-", "_")
        for one in map(Requirement, filter(None, lines))
        if any(s.operator == "==" for s in one.specifier)
    }
    assert module.split(".")[0] in pinned


def test_the_hooks_run_where_everything_runs():
    assert "pre_commit run --all-files" in (ROOT / "scripts" / "test.sh").read_text()


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_names_commands_and_files_that_exist(form):
    text = form.read_text(encoding="utf-8")
    assert set(re.findall(r"nnUNetv2_pcrl_\w+", text)) <= set(commands())
    for path in re.findall(r"\b(?:docs|tests|scripts|methods)/[\w/.]+\w", text):
        inside = "nnunetv2_pcrl" if path.startswith("methods/") else "."
        assert (ROOT / inside / path).exists(), path


@pytest.mark.parametrize("form", [f for f in FORMS if f.stem != "config"], ids=lambda f: f.stem)
def test_a_form_has_what_github_asks_of_it(form):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert content["name"] and content["description"]
    ids = [part["id"] for part in content["body"]]
    assert len(set(ids)) == len(ids)
    assert all(part["type"] in ("input", "textarea", "checkboxes") for part in content["body"])
    assert all(part["attributes"]["label"] for part in content["body"])


def test_a_report_of_an_error_needs_the_doctors_page():
    content = loaded(".github/ISSUE_TEMPLATE/bug.yml")
    required = {
        part["id"] for part in content["body"] if part.get("validations", {}).get("required")
    }
    assert "doctor" in required


def test_the_citation_is_of_this_version_and_licence_and_cites_the_same_as_the_readme():
    citation = loaded("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert citation["license"] == configuration["metadata"]["license"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\n> ", " ")
    for reference in citation["references"]:
        assert reference["title"] in readme


def test_the_changelog_begins_with_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == __version__


def test_the_lowest_python_is_that_of_the_linter():
    lowest = configuration["options"]["python_requires"].removeprefix(">=")
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'target-version = "py{lowest.replace(".", "")}"' in pyproject
    assert sys.version_info >= tuple(map(int, lowest.split(".")))
