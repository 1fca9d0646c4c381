"""Folds of classification: a patient is in one fold, and every fold has its share of the classes.

Reads no images; what is drawn from a table of classes is drawn here.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nnunetv2_pcrl.datasets import folds
from nnunetv2_pcrl.datasets.classes import CLASSES_FILE, ClassTable
from nnunetv2_pcrl.label_folds.splits import NUM_FOLDS, SPLITS_NAME, Split
from nnunetv2_pcrl.views.seeding import seeded_generator

# Tells these draws apart from others of the same seed.
CLASS_SUBSET_STREAM = 12


def write_patient_folds(preprocessed: Path, table: ClassTable) -> None:
    """Writes the folds of `patient_folds` as splits_final.json.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed; it has no such file.
        table: of the preprocessed cases.
    """
    folds.write_folds(preprocessed / SPLITS_NAME, _fold_of_every_case(table))


def patient_folds(table: ClassTable) -> list[Split]:
    """Five folds, grouped by patient and stratified by class, the same in every call.

    Where a case can be of several classes, it counts as one of the rarest that it has.

    Args:
        table: cases to split.

    Raises:
        ValueError: if there are fewer patients than folds.
    """
    return [*folds.splits_of(_fold_of_every_case(table))]


def _fold_of_every_case(table: ClassTable) -> dict[str, int]:
    num_patients = len(set(table.patients))
    if num_patients < NUM_FOLDS:
        raise ValueError(
            f"{NUM_FOLDS} folds need at least {NUM_FOLDS} patients, {CLASSES_FILE} has "
            f"{num_patients}. Train on fold all, or write your own {SPLITS_NAME}."
        )
    return folds.patient_folds(
        dict(zip(table.identifiers, table.patients, strict=True)),
        dict(zip(table.identifiers, strata_of(table).tolist(), strict=True)),
        NUM_FOLDS,
    )


def patients_in_both(table: ClassTable, split: Split) -> list[str]:
    """Patients with cases in training and validation of a fold, sorted."""
    patient_of = dict(zip(table.identifiers, table.patients, strict=True))
    train, val = (
        {patient_of[case] for case in split[part] if case in patient_of}
        for part in ("train", "val")
    )
    return sorted(train & val)


def strata_of(table: ClassTable) -> np.ndarray:
    """One class per case, shape [N]: the rarest that it has, or the number of classes for none."""
    is_positive = np.nan_to_num(table.targets) == 1
    rarity = is_positive.sum(axis=0)
    commonness = np.where(is_positive, rarity, len(table) + 1)
    return np.where(is_positive.any(axis=1), commonness.argmin(axis=1), len(table.names))


def class_labels(table: ClassTable) -> dict[str, frozenset[str]]:
    """What is known of every case, in words: its classes, and for a single class its absence.

    A training needs cases with and without each class.
    """
    labels = {}
    for case, targets in zip(table.identifiers, table.targets, strict=True):
        with_or_without = {1.0: "{}", 0.0: "no {}"}
        labels[case] = frozenset(
            with_or_without[value].format(name)
            for name, value in zip(table.names, targets, strict=True)
            if not np.isnan(value)
        )
    return labels


def stratified_order(table: ClassTable, seed: int, fold: int, repeat: int) -> list[str]:
    """A random order of which every beginning has about the classes' shares of the whole.

    Cases of a patient follow one another. A patient counts as of the rarest class of its cases.

    Args:
        table: cases to order.
        seed: of the draw; with `fold` and `repeat` it decides the order.
        fold: the ordinary fold.
        repeat: 0, 1, ...
    """
    table = table.of(sorted(table.identifiers))
    strata = strata_of(table)
    sizes = np.bincount(strata, minlength=len(table.names) + 1)
    cases_of: dict[str, list[int]] = {}
    for row, patient in enumerate(table.patients):
        cases_of.setdefault(patient, []).append(row)
    patients_of: dict[int, list[str]] = {}
    for patient, rows in cases_of.items():
        rarest = min(strata[rows], key=lambda stratum: (sizes[stratum], stratum))
        patients_of.setdefault(int(rarest), []).append(patient)
    generator = seeded_generator(seed, CLASS_SUBSET_STREAM, fold, repeat)
    places: dict[str, float] = {}
    for stratum in sorted(patients_of):
        shuffled = _shuffled(patients_of[stratum], generator)
        # Evenly over [0, 1), so that the strata mix in their proportions.
        shift = float(torch.rand((), generator=generator))
        for number, patient in enumerate(shuffled):
            places[patient] = (number + shift) / len(shuffled)
    order = sorted(places, key=lambda patient: (places[patient], patient))
    return [table.identifiers[row] for patient in order for row in cases_of[patient]]


def _shuffled(names: Sequence[str], generator: torch.Generator) -> list[str]:
    return [names[i] for i in torch.randperm(len(names), generator=generator).tolist()]
