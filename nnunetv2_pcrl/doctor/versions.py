"""Versions of Python, of the system and of every package that this one needs."""

import importlib
import platform
from importlib import metadata

from packaging.requirements import Requirement

from nnunetv2_pcrl import __version__
from nnunetv2_pcrl.doctor.findings import Problem, Section

PACKAGE = "nnunetv2_pcrl"
# Imported by every training; an import finds what a version does not say, e.g. of torchvision.
_MUST_IMPORT = ("torch", "nnunetv2", "nnunetv2.run.run_training")


def examine_versions() -> Section:
    """Versions, which of them do not fit, and imports that fail."""
    facts = {
        PACKAGE: __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    problems = []
    for requirement in requirements():
        version = installed_version(requirement.name)
        facts[requirement.name] = version or "missing"
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            problems.append(
                Problem(
                    f"{PACKAGE} needs {requirement}, and {facts[requirement.name]} is there",
                    f"pip install '{requirement}'",
                    stops=version is None,
                )
            )
    return Section("Versions", facts, (*problems, *_failing_imports()))


def requirements() -> list[Requirement]:
    """What the package needs without extras, as its own metadata say."""
    found = [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


def installed_version(name: str) -> str | None:
    """The version of an installed package; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _failing_imports() -> tuple[Problem, ...]:
    for name in _MUST_IMPORT:
        try:
            importlib.import_module(name)
        # Broken binaries raise almost anything.
        except Exception as error:
            text = f"{name} cannot be imported ({type(error).__name__}: {_first_line(error)})"
            remedy = "install it again, best into a new environment"
            # What comes later fails for the same reason.
            return (Problem(text, remedy, stops=True),)
    return ()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
