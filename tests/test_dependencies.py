"""Dependencies point one way, and nnunetv2 is known to few."""

import ast
import configparser
import re
import sys
from functools import cache
from pathlib import Path

import pytest

import nnunetv2_pcrl

PACKAGE = Path(nnunetv2_pcrl.__file__).resolve().parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of the others; the package's own modules at the top are "".
MAY_IMPORT = {
    "": {"methods", "tasks", "training"},
    "nnunet_ext": set(),
    "doctor": {"settings"},
    "cli": {
        "doctor",
        "evaluation",
        "experiments",
        "label_folds",
        "methods",
        "tasks",
        "training",
        "monitoring",
        "preparation",
        "settings",
        "weights",
        "datasets",
    },
    "evaluation": {
        "experiments",
        "tasks",
        "methods",
        "monitoring",
        "label_folds",
        "weights",
        "datasets",
    },
    "experiments": {
        "tasks",
        "training",
        "methods",
        "monitoring",
        "label_folds",
        "settings",
        "weights",
        "datasets",
    },
    "tasks": {
        "training",
        "methods",
        "monitoring",
        "label_folds",
        "settings",
        "networks",
        "views",
        "datasets",
        "weights",
    },
    "training": {"methods", "monitoring", "settings", "networks", "views", "weights"},
    "methods": {"monitoring", "settings", "networks", "losses", "views"},
    "monitoring": {"views", "weights"},
    "preparation": {"datasets", "settings", "weights"},
    "label_folds": {"datasets", "views", "weights"},
    "datasets": {"weights"},
    "settings": set(),
    "networks": set(),
    "losses": set(),
    "views": set(),
    "weights": set(),
}
# What others may know of the methods: the interface and the list, and no method.
METHOD_INTERFACE = (
    "image_contrast",
    "method",
    "objective",
    "one_view_size",
    "patch_restoration",
    "plan_facts",
    "recipe",
    "pretraining",
    "optimizers",
    "registry",
    "settings",
    "variants",
)
MAY_KNOW_NNUNET = (
    "training/",
    "tasks/",
    "preparation/",
    "label_folds/",
    "experiments/",
    "evaluation/",
    "cli/",
    "doctor/",
    "views/loader.py",
    "launch.py",
)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


@cache
def imported_modules(path: Path) -> set[str]:
    """Full names of all modules that a file imports, in functions too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), path.name)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import in line {node.lineno}"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def external_packages(path: Path) -> set[str]:
    tops = {module.split(".")[0] for module in imported_modules(path)}
    return tops - set(sys.stdlib_module_names) - {"nnunetv2_pcrl"}


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def test_every_part_of_the_package_has_its_place_in_the_picture():
    assert {part_of(path) for path in MODULES} <= set(MAY_IMPORT)


@every_module
def test_dependencies_between_the_parts_point_one_way(path):
    parts = set(MAY_IMPORT) - {""}
    imported = {
        name.split(".")[1]
        for name in imported_modules(path)
        if name.startswith("nnunetv2_pcrl.") and name.split(".")[1] in parts
    }
    assert imported - {part_of(path)} <= MAY_IMPORT[part_of(path)]


def imported_methods(path: Path) -> set[str]:
    """Names of the rooms and files of methods/ that a file imports."""
    start = "nnunetv2_pcrl.methods."
    return {name.split(".")[2] for name in imported_modules(path) if name.startswith(start)}


@every_module
def test_a_method_is_known_to_itself_and_to_the_registry_only(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[:2] == ("methods", "registry"):
        return
    own = {parts[1]} if parts[0] == "methods" else set()
    assert imported_methods(path) <= own | set(METHOD_INTERFACE)


@every_module
def test_nnunetv2_is_imported_only_where_its_hooks_are_known(path):
    if not name_of(path).startswith(MAY_KNOW_NNUNET):
        assert "nnunetv2" not in external_packages(path)


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "registration.py"])
def test_what_runs_inside_import_torch_imports_the_standard_library_only(name):
    assert external_packages(PACKAGE / name) == set()


def test_there_is_no_module_for_odds_and_ends():
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "common", "misc"}


def test_every_package_that_is_imported_is_declared():
    configuration = configparser.ConfigParser()
    configuration.read(PACKAGE.parent / "setup.cfg")
    lines = configuration["options"]["install_requires"].split()
    # Imported where it is installed.
    lines += configuration["options.extras_require"]["completion"].split()
    declared = {re.split(r"[<>=!~\[]", line)[0].replace("-", "_").lower() for line in lines}
    imported = {package for path in MODULES for package in external_packages(path)}
    # Imported under other names.
    names = {"sklearn": "scikit_learn", "PIL": "pillow"}
    assert {names.get(package, package).lower() for package in imported} <= declared


@pytest.mark.parametrize("folder", ["tests", "scripts"])
def test_tests_and_scripts_are_no_packages(folder):
    # nnU-Net's search for trainers and pytest's importlib mode both take them for what they are.
    assert not list((PACKAGE.parent / folder).rglob("__init__.py"))
