"""Where the files of a download lie: wrapped in folders, and which are no part of a benchmark."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from nnunetv2_pcrl.datasets.conversion import Benchmark
from nnunetv2_pcrl.datasets.mhd import voxel_file


def files_below(source: Path, endings: Collection[str] = ()) -> Iterator[Path]:
    """Files below a folder, sorted by folder and name; hidden ones are passed over.

    Archives made on a Mac hold a second tree of hidden files.

    Args:
        source: the folder; links to folders are not followed.
        endings: in lower case, e.g. .png; all files if there are none.
    """
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n != "__MACOSX")
        for name in sorted(names):
            ending = os.path.splitext(name)[1].lower()
            if not name.startswith(".") and (not endings or ending in endings):
                yield Path(folder, name)


def scan_at(path: Path) -> Path | None:
    """The file of this path, or the only NIfTI image in a folder of this path.

    Programs that unpack .gz files leave such folders behind.
    """
    if path.is_dir():
        found = [p for p in files_below(path) if p.name.endswith((".nii", ".nii.gz"))]
        return found[0] if len(found) == 1 else None
    return path if path.is_file() else None


def unwrapped_parts(path: Path) -> tuple[str, ...]:
    """Parts of a path, without folders that are named as the file in them."""
    *folders, name = path.parts
    while folders and folders[-1] in (name, path.stem):
        folders.pop()
    return (*folders, name)


def others_of(source: Path, benchmark: Benchmark) -> dict[str, str]:
    """Files below a folder that are no part of a benchmark, with the reason."""
    used = {os.fspath(path) for path in benchmark.known} | set(benchmark.odd)
    for case in benchmark.cases:
        files = [path for path in (*case.images, case.label) if path is not None]
        files += [voxels for path in case.images for voxels in _voxels(path)]
        used.update(os.fspath(path) for path in files)
    return {
        os.fspath(path): f"no part of {benchmark.title}"
        for path in files_below(source)
        if os.fspath(path) not in used and used.isdisjoint(map(os.fspath, path.parents))
    }


def _voxels(path: Path) -> list[Path]:
    """The second file of an MHD image."""
    if path.suffix != ".mhd":
        return []
    try:
        found = voxel_file(path)
    except (ValueError, OSError):
        # The conversion says what is wrong with it.
        return []
    return [] if found is None else [found]
