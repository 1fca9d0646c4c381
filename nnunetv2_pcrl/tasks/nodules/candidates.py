"""Candidates of preprocessed cases as a data set of cubes and labels."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from batchgenerators.utilities.file_and_folder_operations import load_pickle
from torch import Tensor
from torch.utils.data import Dataset

from nnunetv2_pcrl.datasets.positions import CLASS, Positions, read_positions
from nnunetv2_pcrl.datasets.raw import read_json
from nnunetv2_pcrl.tasks.nodules.cubes import cube_size, cut_cube
from nnunetv2_pcrl.tasks.nodules.geometry import CaseGeometry
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError

# Opened cases are file handles, of which a process may have about a thousand.
MAX_OPEN_CASES = 64


class CandidateCubes(Dataset):
    """Cubes around candidates, in the order of their table, and their labels.

    Candidates of one scan should follow each other, as in the published tables: cases are opened
    when they are first asked for, and the latest stay open.

    Attributes:
        candidates: positions with their classes.
        size: voxels per axis of a cube, (D, H, W).
    """

    def __init__(
        self,
        folder: Path,
        candidates: Positions,
        size: Sequence[int],
        transpose_forward: Sequence[int],
    ):
        """Checks that the cases are there, without opening them.

        Args:
            folder: preprocessed data of a configuration with 3 axes.
            candidates: their values are classes, 0 or 1 (other values pass through).
            size: voxels per axis, from `cube_size`.
            transpose_forward: of the plans.

        Raises:
            ValueError: if a scan is not preprocessed.
        """
        scans = list(dict.fromkeys(candidates.scans))
        missing = [scan for scan in scans if not (folder / f"{scan}.pkl").is_file()]
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(scans)} scans with candidates are not in {folder}, "
                f"{missing[0]} among them. Preprocess them, or leave their candidates out."
            )
        self.candidates = candidates
        self.size = tuple(size)
        self._folder = folder
        self._transpose_forward = tuple(transpose_forward)
        self._opened: OrderedDict[str, tuple[PreprocessedCase, CaseGeometry]] = OrderedDict()

    def __len__(self) -> int:
        """Number of candidates."""
        return len(self.candidates)

    @property
    def labels(self) -> Tensor:
        """Classes of all candidates, shape [N], float32."""
        return torch.from_numpy(self.candidates.values).float()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """A cube, shape [C, *size], float32, and its label, a scalar.

        Raises:
            ValueError: if the case is damaged, or keeps no world coordinates.
        """
        scan = self.candidates.scans[index]
        try:
            case, geometry = self._open(scan)
            voxel = geometry.voxels(self.candidates.points_mm[index : index + 1])[0]
            cube = cut_cube(case, voxel, self.size)
        except (UnusableCaseError, ValueError) as error:
            raise ValueError(f"{scan} of {self._folder}: {error}") from error
        return cube, torch.tensor(self.candidates.values[index], dtype=torch.float32)

    def _open(self, scan: str) -> tuple[PreprocessedCase, CaseGeometry]:
        if scan not in self._opened:
            case = PreprocessedCase(self._folder, scan)
            properties = load_pickle(str(self._folder / f"{scan}.pkl"))
            geometry = CaseGeometry.of(properties, self._transpose_forward, case.image_size)
            self._opened[scan] = case, geometry
            while len(self._opened) > MAX_OPEN_CASES:
                self._opened.popitem(last=False)
        self._opened.move_to_end(scan)
        return self._opened[scan]

    def __getstate__(self) -> dict:
        """What worker processes get: they open the files for themselves."""
        return {**self.__dict__, "_opened": OrderedDict()}


def planned_cubes(
    table: Path,
    plans_file: Path,
    configuration: str,
    size_mm: float,
    scans: Sequence[str] | None = None,
    multiple: int = 1,
) -> CandidateCubes:
    """Cubes around the candidates of a data set, by its plans.

    Args:
        table: candidates.csv beside dataset.json.
        plans_file: in the preprocessed folder of the data set.
        configuration: with 3 axes, preprocessed.
        size_mm: length of a cube's edge, mm.
        scans: whose candidates are taken, e.g. those of a fold; None: all.
        multiple: see `cube_size`.

    Raises:
        ValueError: if the plans lack the configuration, a scan is not preprocessed, or no
            candidate is left.
    """
    plans = read_json(plans_file)
    planned = plans["configurations"].get(configuration, {})
    if "data_identifier" not in planned:
        known = ", ".join(n for n, c in plans["configurations"].items() if "data_identifier" in c)
        raise ValueError(
            f"{plans_file} has no configuration {configuration} with data of its own; it has "
            f"{known}."
        )
    candidates = read_positions(table, CLASS)
    if scans is not None:
        candidates = candidates.of(scans)
    if not len(candidates):
        raise ValueError(f"{table} has no candidate in these scans.")
    return CandidateCubes(
        plans_file.parent / planned["data_identifier"],
        candidates,
        cube_size(size_mm, planned["spacing"], multiple),
        plans["transpose_forward"],
    )
