"""Which candidates a nodule training learns from and which it is judged by: whole scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_pcrl.datasets.candidates import candidate_classes, scan_classes
from nnunetv2_pcrl.datasets.positions import Positions
from nnunetv2_pcrl.tasks.encoder.split import ClassSplit, split_cases


@dataclass(frozen=True)
class NoduleSplit(ClassSplit):
    """Candidates of one fold.

    Attributes:
        train_scans, val_scans: all scans, those without candidates too.
    """

    train_scans: tuple[str, ...]
    val_scans: tuple[str, ...]


def split_candidates(
    preprocessed: Path, there: Sequence[str], candidates: Positions, fold: int | str
) -> NoduleSplit:
    """The candidates of a fold.

    Where there is no splits_final.json, one of scans is written.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        there: preprocessed scans.
        candidates: of the whole data set.
        fold: number, or "all".

    Raises:
        ValueError: if there is no such fold, or if its scans have no candidate.
    """
    scans = split_cases(preprocessed, there, scan_classes(candidates, sorted(there)), fold)
    table = candidate_classes(candidates)
    remarks = [*scans.remarks]
    absent = set(candidates.scans) - set(there)
    if absent:
        remarks.append(
            f"{len(absent)} of {len(set(candidates.scans))} scans with candidates are not "
            f"preprocessed and left out"
        )
    parts = {}
    for name, of_scans in (("Training", scans.train), ("Validation", scans.val)):
        wanted = set(of_scans.identifiers)
        part = table.of(
            [
                case
                for case, scan in zip(table.identifiers, table.patients, strict=True)
                if scan in wanted
            ]
        )
        if not len(part):
            raise ValueError(
                f"{name} scans of fold {fold} of {preprocessed.name} have no candidate: none of "
                f"{len(of_scans)} scans is in the table. Compare their names with its first column."
            )
        remarks.append(f"{name}: {len(part)} candidates, {int(np.sum(part.targets))} of nodules")
        parts[name] = part
    return NoduleSplit(
        parts["Training"],
        parts["Validation"],
        tuple(remarks),
        scans.train.identifiers,
        scans.val.identifiers,
    )
