"""candidates.csv beside dataset.json: points in scans, and candidates or scans as cases of a class.

A candidate is called by its scan and its row in the table, e.g. 1.2.3:17.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.classes import MULTILABEL, ClassTable
from nnunetv2_pcrl.datasets.positions import CLASS, Positions, read_positions
from nnunetv2_pcrl.datasets.raw import find_beside

CANDIDATES = "candidates.csv"
NODULE = "nodule"


def read_candidates(preprocessed: Path) -> Positions:
    """The candidates of a data set with their classes, 1 for a nodule and 0 for none.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.

    Raises:
        ValueError: if there is no table, or if it has other classes.
    """
    try:
        path = find_beside(preprocessed, CANDIDATES)
    except ValueError as error:
        raise ValueError(
            f"{error} A nodule training learns from candidates: nnUNetv2_pcrl_convert_luna16 "
            f"writes them, or write a table with identifier, coordX, coordY, coordZ (mm) and class."
        ) from error
    candidates = read_positions(path, CLASS)
    odd = np.flatnonzero(~np.isin(candidates.values, (0, 1)))
    if len(odd):
        raise ValueError(
            f"{len(odd)} of {len(candidates)} candidates of {path} have another class than 0 or 1, "
            f"first {candidates.scans[odd[0]]} with {candidates.values[odd[0]]:g}. Correct them, "
            f"or take them out."
        )
    return candidates


def candidate_classes(candidates: Positions) -> ClassTable:
    """Candidates as cases: their scan is the patient, and the only class is a nodule.

    Args:
        candidates: of the whole table; values are 0 or 1.
    """
    names = tuple(f"{scan}:{row}" for row, scan in enumerate(candidates.scans))
    num = len(candidates)
    targets = candidates.values[:, None].astype(np.float64)
    return ClassTable(names, candidates.scans, ("",) * num, (NODULE,), MULTILABEL, targets)


def scan_classes(candidates: Positions, scans: Sequence[str]) -> ClassTable:
    """Scans as cases: whether a nodule is among their candidates.

    Args:
        candidates: values are 0 or 1.
        scans: all that count, those without candidates too.
    """
    chosen = candidates.values == 1
    with_nodule = {
        scan for scan, is_nodule in zip(candidates.scans, chosen, strict=True) if is_nodule
    }
    targets = np.array([[float(scan in with_nodule)] for scan in scans]).reshape(len(scans), 1)
    scans = tuple(scans)
    return ClassTable(scans, scans, ("",) * len(scans), (NODULE,), MULTILABEL, targets)


def row_of(identifier: str) -> int:
    """The row of a candidate in its table."""
    return int(identifier.rpartition(":")[2])
