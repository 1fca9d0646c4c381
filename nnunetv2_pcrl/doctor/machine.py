"""Cores, memory and shared memory that this process may use, inside a container too."""

import os
import shutil
from pathlib import Path

from nnunetv2_pcrl.doctor.findings import Problem, Section, in_gib
from nnunetv2_pcrl.settings.environment import WORKERS_VARIABLE

SHARED_MEMORY = Path("/dev/shm")
# A container gives 64 MiB unless it is told otherwise, less than one batch of 3D images.
SCARCE_SHARED, TOO_LITTLE_SHARED = 2 * 2**30, 128 * 2**20
_CGROUP = Path("/sys/fs/cgroup")


def examine_machine() -> Section:
    """What the machine gives, and where that is too little."""
    facts = {"cores": f"{usable_cores():g}", "memory": _memory()}
    problems = []
    if SHARED_MEMORY.is_dir():
        total, _, free = shutil.disk_usage(SHARED_MEMORY)
        facts[f"shared memory ({SHARED_MEMORY})"] = f"{in_gib(total)}, {in_gib(free)} free"
        if free < SCARCE_SHARED:
            problems.append(_scarce_shared_memory(free))
    facts["background workers"] = _workers()
    return Section("Machine", facts, tuple(problems))


def usable_cores() -> float:
    """Cores that this process may run on, by its affinity and by the quota of its container."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0)
    cores = cores or float(os.cpu_count() or 1)
    quota = _words(_CGROUP / "cpu.max")
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def _memory() -> str:
    # Windows does not say in this way.
    return in_gib(memory_bytes()) if hasattr(os, "sysconf") else "unknown"


def memory_bytes() -> int:
    """Memory of the machine, or of its container where that has less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _words(_CGROUP / "memory.max")
    return min(total, int(limit[0])) if limit and limit[0].isdigit() else total


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []


def _scarce_shared_memory(free: int) -> Problem:
    text = f"{SHARED_MEMORY} has {in_gib(free)} free, through which background workers send images"
    remedy = (
        "start the container with more (docker run --shm-size=8g or --ipc=host), or train without "
        "workers (export nnUNet_n_proc_DA=0)"
    )
    is_used = os.environ.get(WORKERS_VARIABLE, "").strip() != "0"
    return Problem(text, remedy, stops=is_used and free < TOO_LITTLE_SHARED)


def _workers() -> str:
    """Background workers of a training, as nnU-Net chooses them."""
    from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

    return str(get_allowed_n_proc_DA())
