"""The folder of an experiment: the files that Snakemake runs it by."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from nnunetv2_pcrl.experiments.config import CONFIG_NAME, config_text
from nnunetv2_pcrl.experiments.trainings import DatasetGrid
from nnunetv2_pcrl.weights.atomic import replaced_atomically

SNAKEFILE = "Snakefile"
# Snakemake wants a profile in a folder of its own.
SLURM_PROFILE = Path("slurm") / "config.yaml"


def write_folder(folder: Path, grids: Sequence[DatasetGrid]) -> None:
    """Writes the Snakefile, config.json and the profile for SLURM.

    What is there and differs is never replaced; the profile belongs to its user from then on.

    Args:
        folder: made if it is missing.
        grids: the trainings.

    Raises:
        ValueError: if the folder has other files of these names.
    """
    contents = {SNAKEFILE: _shipped("Snakefile"), CONFIG_NAME: config_text(grids)}
    for name, content in contents.items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != content:
            raise ValueError(f"{path} {_DIFFERENT[name]}")
    profile = folder / SLURM_PROFILE
    profile.parent.mkdir(parents=True, exist_ok=True)
    if not profile.exists():
        contents[str(SLURM_PROFILE)] = _shipped("slurm.yaml")
    for name, content in contents.items():
        with replaced_atomically(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")


def _shipped(name: str) -> str:
    return (files("nnunetv2_pcrl.experiments") / name).read_text(encoding="utf-8")


_DIFFERENT = {
    SNAKEFILE: (
        "is not the one that this version writes, and is neither run nor replaced. Run it with "
        "snakemake yourself, or name another folder with -o: finished trainings are found there "
        "too."
    ),
    CONFIG_NAME: (
        "describes another experiment, and is not replaced. Give the arguments of that one, or "
        "name another folder with -o: finished trainings are found there too."
    ),
}
