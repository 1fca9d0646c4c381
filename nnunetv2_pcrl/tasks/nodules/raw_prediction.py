"""From raw scans and a table of candidates to scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from nnunetv2_pcrl.datasets.positions import Positions
from nnunetv2_pcrl.tasks.encoder.checkpoint import TrainedClassifier
from nnunetv2_pcrl.tasks.encoder.raw_prediction import RawCases, predict_inputs
from nnunetv2_pcrl.tasks.encoder.trained_folds import managers_of
from nnunetv2_pcrl.tasks.nodules.cubes import ImageInMemory, cut_cube
from nnunetv2_pcrl.tasks.nodules.geometry import CaseGeometry
from nnunetv2_pcrl.tasks.nodules.settings import NoduleSettings


@dataclass(frozen=True)
class RawCandidates:
    """Cubes around candidates of raw scans.

    Attributes:
        cases: the scans.
        candidates: in any order.
        rows: of the candidates, by scan.
    """

    cases: RawCases
    candidates: Positions
    rows: Mapping[str, Sequence[int]]

    def inputs(self, scan: str) -> Iterator[tuple[str, Tensor]]:
        """Cubes of all candidates of a scan, each with its row in the table.

        Raises:
            ValueError: if the scan cannot be read, or keeps no world coordinates.
        """
        image, properties = self.cases.read(scan)
        plans, plan = managers_of(self.cases.trained)
        try:
            geometry = CaseGeometry.of(properties, plans.transpose_forward, image.shape[1:])
        except ValueError as error:
            raise ValueError(f"{scan}: {error}") from error
        size = _settings_of(self.cases.trained).cube_voxels(plan)
        rows = self.rows[scan]
        voxels = geometry.voxels(self.candidates.points_mm[rows])
        for row, voxel in zip(rows, voxels, strict=True):
            yield str(row), cut_cube(ImageInMemory(image), voxel, size)


def inputs_seen(trained: TrainedClassifier) -> tuple:
    """What the network sees, equal for folds whose inputs are equal."""
    plan = managers_of(trained)[1]
    return _settings_of(trained).cube_voxels(plan), tuple(plan.spacing)


def _settings_of(trained: TrainedClassifier) -> NoduleSettings:
    return cast(NoduleSettings, trained.settings)


def predict_candidates(
    folds: Sequence[TrainedClassifier],
    files: Mapping[str, Sequence[str]],
    candidates: Positions,
    device: torch.device,
    num_workers: int,
) -> Positions:
    """Candidates with probabilities, the mean over the folds, in the order of their table.

    Args:
        folds: that agree in inputs.
        files: image files by scan.
        candidates: those of other scans are left out.
        device: to compute on.
        num_workers: processes that read and preprocess; 0 for this one.

    Raises:
        ValueError: if no candidate lies in these scans.
    """
    candidates = candidates.of(list(files))
    if not len(candidates):
        raise ValueError(
            f"None of the candidates lies in the {len(files)} scans, {next(iter(files))} among "
            f"them: the names in the table's first column must be those of the images without "
            f"_0000."
        )
    rows: dict[str, list[int]] = {}
    for row, scan in enumerate(candidates.scans):
        rows.setdefault(scan, []).append(row)
    raw = RawCandidates(RawCases(files, folds[0]), candidates, rows)
    found = predict_inputs(folds, raw.inputs, list(rows), device, num_workers)
    values = np.array([found[str(row)][0] for row in range(len(candidates))], dtype=np.float64)
    return replace(candidates, values=values)
