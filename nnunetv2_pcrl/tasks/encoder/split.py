"""Which cases a training of classes learns from and validates on, and what to know of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.label_folds.class_folds import patients_in_both, write_patient_folds
from nnunetv2_pcrl.label_folds.splits import SPLITS_NAME, read_splits

FOLD_ALL = "all"


@dataclass(frozen=True)
class ClassSplit:
    """Cases of one fold.

    Attributes:
        train, val: with their classes.
        remarks: for the log.
    """

    train: ClassTable
    val: ClassTable
    remarks: tuple[str, ...]


def split_cases(
    preprocessed: Path, there: Sequence[str], table: ClassTable, fold: int | str
) -> ClassSplit:
    """The cases of a fold of which a class is known.

    Where there is no splits_final.json, one is written that keeps patients together. Fold all
    trains and validates on everything.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        there: preprocessed cases.
        table: of the data set.
        fold: number, or "all".

    Raises:
        ValueError: if there is no such fold, or if it has no case of a known class.
    """
    known = table.known()
    usable = set(known.identifiers) & set(there)
    remarks = []
    if len(usable) < len(set(there)):
        remarks.append(
            f"{len(set(there)) - len(usable)} of {len(set(there))} preprocessed cases are left "
            f"out: none of their classes is known"
        )
    if fold == FOLD_ALL:
        split = {"train": sorted(usable), "val": sorted(usable)}
    else:
        split = _split_of(preprocessed, known.of(sorted(usable)), int(fold), remarks)
    parts = {name: [case for case in split[name] if case in usable] for name in ("train", "val")}
    for name, cases in parts.items():
        if not cases:
            raise ValueError(
                f"Fold {fold} of {preprocessed.name} has no case to {name} with: none of its "
                f"{len(split[name])} cases is preprocessed and has a known class."
            )
    train, val = known.of(parts["train"]), known.of(parts["val"])
    remarks += [_in_words("Training", train), _in_words("Validation", val)]
    return ClassSplit(train, val, tuple(remarks))


def _split_of(
    preprocessed: Path, usable: ClassTable, fold: int, remarks: list[str]
) -> dict[str, list[str]]:
    """One fold of splits_final.json, which is made where it is missing."""
    found = read_splits(preprocessed)
    if found is None:
        write_patient_folds(preprocessed, usable)
    splits = read_splits(preprocessed) or []
    if found is None:
        remarks.append(
            f"Wrote {preprocessed / SPLITS_NAME}: {len(splits)} folds of the training images, "
            f"grouped by patient, stratified by class. Official test images (imagesTs) are in none."
        )
    else:
        remarks.append(f"Folds: {preprocessed / SPLITS_NAME}, with {len(splits)} folds")
    if not 0 <= fold < len(splits):
        raise ValueError(
            f"There is no fold {fold} in {preprocessed / SPLITS_NAME}, which has {len(splits)}."
        )
    both = patients_in_both(usable, splits[fold])
    if both:
        remarks.append(
            f"WARNING: {len(both)} patients, {both[0]} among them, have images in training and "
            f"validation of fold {fold}, which makes results too good. Delete {SPLITS_NAME}, and "
            f"folds by patient are made."
        )
    return dict(splits[fold])


def _in_words(what: str, table: ClassTable) -> str:
    lists = Counter(name for name in table.lists if name)
    named = ", ".join(f"{count} of list {name}" for name, count in sorted(lists.items()))
    return (
        f"{what}: {len(table)} cases of {len(set(table.patients))} patients"
        f"{f' ({named})' if named else ''}"
    )
