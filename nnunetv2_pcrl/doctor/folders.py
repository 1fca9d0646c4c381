"""nnU-Net's three folders: set, there, writable, and with space on their disks."""

import os
import shutil
from pathlib import Path

from nnunetv2_pcrl.doctor.findings import Problem, Section, in_gib

# A pretraining of a large plan keeps some checkpoints of about a GB each.
SCARCE_BYTES, TOO_FEW_BYTES = 10 * 2**30, 2**30
# What a training needs of each folder that it cannot do without.
_NEEDED = {"nnUNet_raw": False, "nnUNet_preprocessed": True, "nnUNet_results": True}


def examine_folders() -> Section:
    """Where the folders are and what is wrong with them."""
    facts, problems = {}, []
    for variable, is_needed in _NEEDED.items():
        value = os.environ.get(variable)
        if not value:
            facts[variable] = "not set"
            text = f"the environment variable {variable} is not set"
            problems.append(Problem(text, f"export {variable}=/path/to/a/folder", is_needed))
            continue
        folder = Path(value)
        facts[variable], problem = _examine(variable, folder)
        if problem:
            problems.append(problem)
    return Section("nnU-Net's folders", facts, tuple(problems))


def _examine(variable: str, folder: Path) -> tuple[str, Problem | None]:
    name = shown(folder)
    if not folder.is_dir():
        is_file = folder.exists()
        stops = _NEEDED[variable]
        if variable == "nnUNet_results" and not is_file:
            # nnU-Net makes it; a misspelled one is worth a note all the same.
            stops = not os.access(_nearest_folder(folder), os.W_OK | os.X_OK)
        return f"{name}: {'a file' if is_file else 'does not exist'}", Problem(
            f"{variable} names {name}, which {'is a file' if is_file else 'does not exist'}",
            "name an existing folder" if is_file else f"mkdir -p {name}",
            stops=stops,
        )
    is_writable = os.access(folder, os.W_OK | os.X_OK)
    free = shutil.disk_usage(folder).free
    fact = f"{name}: {'writable' if is_writable else 'read-only'}, {in_gib(free)} free"
    if variable != "nnUNet_results":
        return fact, None
    if not is_writable:
        text = f"{variable} names {name}, which cannot be written"
        return fact, Problem(text, "choose another folder, or change its permissions", stops=True)
    if free < SCARCE_BYTES:
        text = f"the disk of {variable} has {in_gib(free)} left, and checkpoints take some GB"
        return fact, Problem(text, "make space on it", stops=free < TOO_FEW_BYTES)
    return fact, None


def _nearest_folder(path: Path) -> Path:
    """The nearest one above that exists."""
    return next(above for above in path.absolute().parents if above.exists())


def shown(path: Path) -> str:
    """A path without the name of the person whose home it is in."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
