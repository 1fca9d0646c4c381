"""Which GPUs a training gets: those with the fewest trainings of experiments on them."""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from nnunetv2_pcrl.experiments.file_lock import try_lock

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    if VARIABLE in os.environ:
        return [name.strip() for name in os.environ[VARIABLE].split(",") if name.strip()]
    # Here, because it takes seconds.
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def take_gpus(names: Sequence[str], num_gpus: int, folder: Path) -> tuple[list[str], list[int]]:
    """Takes GPUs, those first on which the fewest others have taken a place.

    Args:
        names: of the GPUs to choose from.
        num_gpus: to take, no more than there are.
        folder: of the lock files, one for each place on a GPU, shared by all trainings.

    Returns:
        Names, and descriptors of the locks: a place is free again when they are closed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken: list[str] = []
    descriptors: list[int] = []
    for name, path in _places(names, folder):
        if len(taken) == num_gpus:
            break
        if name not in taken and (descriptor := try_lock(path)) is not None:
            taken.append(name)
            descriptors.append(descriptor)
    return taken, descriptors


def _places(names: Sequence[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """The first place on each GPU, then the second, and so on."""
    for place in count():
        for name in names:
            yield name, folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', name)}.{place}"


def lock_folder() -> Path:
    """Where trainings of this user on this machine take GPUs."""
    return Path(tempfile.gettempdir()) / f"nnunetv2_pcrl_gpus_{os.getuid()}"
