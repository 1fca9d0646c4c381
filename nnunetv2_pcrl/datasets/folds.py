"""Folds that a benchmark prescribes or that keep patients apart, as splits_final.json."""

import json
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from nnunetv2_pcrl.datasets.raw import read_any_json
from nnunetv2_pcrl.weights.atomic import replaced_atomically

SPLITS = "splits_final.json"
# As in nnUNetTrainer.do_split.
NUM_FOLDS, SPLITS_SEED = 5, 12345


def patient_folds(
    patients: Mapping[str, str],
    strata: Mapping[str, int] | None = None,
    num_folds: int = NUM_FOLDS,
) -> dict[str, int]:
    """Folds of about equal numbers of cases, no patient in two of them, the same in every call.

    Args:
        patients: by case, in any order.
        strata: by case, of which every fold gets its share, e.g. classes numbered from 0; None
            for no such.
        num_folds: fewer are made where there are fewer patients.

    Returns:
        The fold in which a case is validated, by case; empty for a single patient.
    """
    num_folds = min(num_folds, len(set(patients.values())))
    if num_folds < 2:
        return {}
    cases = sorted(patients)
    groups = _numbered([patients[case] for case in cases])
    kinds = np.array([0 if strata is None else strata[case] for case in cases])
    if np.bincount(kinds).max() < num_folds:
        # So few cases that no stratum can be in every fold.
        kinds[:] = 0
    splitter = StratifiedGroupKFold(num_folds)
    folds: dict[str, int] = {}
    with warnings.catch_warnings():
        # A stratum of fewer cases than folds is in as many folds as it can be.
        warnings.simplefilter("ignore", UserWarning)
        for number, (_, held_out) in enumerate(splitter.split(cases, kinds, groups)):
            folds |= {cases[index]: number for index in held_out}
    return folds


def _numbered(patients: Sequence[str]) -> list[int]:
    """A number for each patient: those of many cases first, equal ones in random order.

    Folds take patients that fit alike in this order, so that they end about equally large.
    scikit-learn's own shuffle loses the shares of the strata before version 1.8.
    """
    counts = Counter(patients)
    names = np.random.default_rng(SPLITS_SEED).permutation(sorted(counts)).tolist()
    names.sort(key=lambda name: -counts[name])
    number_of = {name: number for number, name in enumerate(names)}
    return [number_of[patient] for patient in patients]


def splits_of(folds: Mapping[str, int]) -> list[dict[str, list[str]]]:
    """The content of splits_final.json: a fold's cases are validated, all others train.

    Args:
        folds: number of the fold in which a case is validated; numbers without a case are
            passed over.

    Returns:
        One entry per fold, in the order of their numbers; none if all cases are in one fold.
    """
    numbers = sorted(set(folds.values()))
    if len(numbers) < 2:
        return []
    return [
        {
            "train": sorted(case for case, fold in folds.items() if fold != number),
            "val": sorted(case for case, fold in folds.items() if fold == number),
        }
        for number in numbers
    ]


def write_folds(path: Path, folds: Mapping[str, int]) -> None:
    """Writes splits_final.json; without two folds there is none, and an earlier one goes."""
    splits = splits_of(folds)
    if not splits:
        path.unlink(missing_ok=True)
        return
    _write(path, splits)


def take_over_folds(source: Path, target: Path, cases: Collection[str]) -> None:
    """Copies the folds that a raw data set prescribes beside its plans, unless there are some.

    Args:
        source: the raw data set.
        target: its folder in nnUNet_preprocessed, which is there.
        cases: that can be used; nnU-Net would look for the others in vain.
    """
    if not (source / SPLITS).is_file() or (target / SPLITS).exists():
        return
    splits = [
        {part: [case for case in names if case in cases] for part, names in split.items()}
        for split in read_any_json(source / SPLITS)
    ]
    _write(target / SPLITS, [split for split in splits if all(split.values())])


def _write(path: Path, splits: list[dict[str, list[str]]]) -> None:
    with replaced_atomically(path) as temporary:
        temporary.write_text(json.dumps(splits, indent=4), encoding="utf-8")
