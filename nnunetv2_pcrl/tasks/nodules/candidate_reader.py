"""Reads cubes around candidates of preprocessed scans."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import load_pickle
from torch import Tensor

from nnunetv2_pcrl.datasets.candidates import row_of
from nnunetv2_pcrl.datasets.positions import Positions
from nnunetv2_pcrl.tasks.nodules.cubes import cut_cube
from nnunetv2_pcrl.tasks.nodules.geometry import CaseGeometry
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError
from nnunetv2_pcrl.views.seeding import integer

# Opened cases are file handles, of which a process may have about a thousand.
MAX_OPEN_CASES = 64


class CandidateReader:
    """Cubes by the names of candidates.

    Candidates of one scan should follow each other, as in the published tables: cases are opened
    when they are first asked for, and the latest stay open.
    """

    def __init__(
        self,
        folder: Path,
        candidates: Positions,
        size: Sequence[int],
        transpose_forward: Sequence[int],
        max_shift: Sequence[int] = (0, 0, 0),
    ):
        """Opens nothing yet.

        Args:
            folder: preprocessed data of a configuration with 3 axes.
            candidates: of the whole data set.
            size: voxels per axis of a cube, (D, H, W).
            transpose_forward: of the plans.
            max_shift: of drawn cubes, voxels per axis.
        """
        self._folder = folder
        self._candidates = candidates
        self._size = tuple(size)
        self._transpose_forward = tuple(transpose_forward)
        self._max_shift = tuple(max_shift)
        self._opened: OrderedDict[str, tuple[PreprocessedCase, CaseGeometry]] = OrderedDict()

    def drawn(self, identifier: str, generator: torch.Generator) -> Tensor:
        """A cube that may be shifted, shape [C, *size]."""
        shift = [integer(-most, most, generator) for most in self._max_shift]
        return self._cube(identifier, shift)

    def inputs(self, identifier: str) -> Iterator[tuple[str, Tensor]]:
        """The only cube of a candidate, shape [C, *size], with the candidate's name."""
        yield identifier, self._cube(identifier)

    def _cube(self, identifier: str, shift: Sequence[int] = (0, 0, 0)) -> Tensor:
        row = row_of(identifier)
        scan = self._candidates.scans[row]
        try:
            case, geometry = self._open(scan)
            voxel = geometry.voxels(self._candidates.points_mm[row : row + 1])[0]
            return cut_cube(case, voxel + np.array(shift), self._size)
        except (UnusableCaseError, ValueError) as error:
            raise ValueError(
                f"{scan} of {self._folder}: {error}. Preprocess it again, or take it out of the "
                f"fold."
            ) from error

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
