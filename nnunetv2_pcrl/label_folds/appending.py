"""Appends label folds to splits_final.json: what is missing of what was asked for."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.label_folds.files import (
    finish_interrupted,
    read_table,
    table_of,
    write_folds,
)
from nnunetv2_pcrl.label_folds.request import Request, counts_of, ordinary_folds
from nnunetv2_pcrl.label_folds.results import (
    check_numbers_are_free,
    check_seed,
    check_unchanged,
)
from nnunetv2_pcrl.label_folds.sources import label_source
from nnunetv2_pcrl.label_folds.splits import read_splits
from nnunetv2_pcrl.label_folds.subsets import order_through
from nnunetv2_pcrl.label_folds.table import LabelFold


@dataclass(frozen=True)
class Appended:
    """What came of a request.

    Attributes:
        folds: all label folds of the data set, by number.
        num_new: how many of them, at the end, are new.
        warnings: labels that a new one lacks.
        role: in the names of trainers that learn from their labels.
    """

    folds: tuple[LabelFold, ...]
    num_new: int
    warnings: tuple[str, ...]
    role: str


def append_label_folds(
    preprocessed: Path, dataset_results: Path, request: Request, num_threads: int
) -> Appended:
    """Draws the label folds that are missing and writes them behind the folds that are there.

    Where splits_final.json is missing, nnU-Net's own is made first, or for classes one by patient.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        dataset_results: folder of the data set in nnUNet_results; it may be missing.
        request: label folds to have.
        num_threads: label images that are read at a time.

    Raises:
        ValueError: if the request does not fit the folds, if these were changed since label folds
            were drawn, or if results have the new numbers already.
    """
    finish_interrupted(preprocessed)
    table = read_table(preprocessed)
    if table is not None:
        check_unchanged(preprocessed, table, dataset_results)
        check_seed(table, request.seed, dataset_results)
    source = label_source(preprocessed, request.by_classes, num_threads)
    splits = list(read_splits(preprocessed) or source.make_splits())
    known = table.folds if table else ()
    seed = table.seed if table else request.seed or 0
    there = {(f.of_fold, f.num_cases, f.repeat) for f in known}
    missing = [
        (of_fold, count, repeat)
        for of_fold in ordinary_folds(request.folds, splits, known)
        for count in counts_of(request, splits[of_fold], of_fold)
        for repeat in range(request.repeats)
        if (of_fold, count, repeat) not in there
    ]
    if not missing:
        return Appended(known, 0, (), source.role)
    check_numbers_are_free(dataset_results, range(len(splits), len(splits) + len(missing)))
    training = {of_fold: sorted(set(splits[of_fold]["train"])) for of_fold, _, _ in missing}
    labels = source.labels(sorted(set().union(*training.values())))
    orders = {}
    for of_fold, repeat in sorted({(of_fold, repeat) for of_fold, _, repeat in missing}):
        own = {case: labels[case] for case in training[of_fold]}
        order, num_cover = source.order(own, seed, of_fold, repeat)
        drawn = [f.fold for f in known if (f.of_fold, f.repeat) == (of_fold, repeat)]
        order = order_through([splits[number]["train"] for number in drawn], order)
        orders[of_fold, repeat] = order, own, num_cover
    new, warnings = [], []
    for of_fold, count, repeat in missing:
        order, own, num_cover = orders[of_fold, repeat]
        fold = LabelFold(len(splits), of_fold, count, count / len(order), repeat)
        warnings += _lacking(fold, order[:count], own, num_cover)
        splits.append({"train": sorted(order[:count]), "val": list(splits[of_fold]["val"])})
        new.append(fold)
    folds = (*known, *new)
    write_folds(preprocessed, splits, table_of(seed, folds, splits))
    return Appended(folds, len(new), tuple(warnings), source.role)


def _lacking(
    fold: LabelFold, cases: Sequence[str], labels: Mapping[str, Set[str]], num_cover: int
) -> list[str]:
    """A warning if labels of the training cases do not occur in a subset."""
    held = set().union(*(labels[case] for case in cases))
    lacking = sorted(set().union(*labels.values()) - held)
    if not lacking:
        return []
    named = ", ".join(
        f'"{label}" (in {sum(label in found for found in labels.values())} of {len(labels)} cases)'
        for label in lacking
    )
    return [
        f"Fold {fold.fold}, with {fold.num_cases} of the cases of fold {fold.of_fold}, has no "
        f"{named}: all labels occur from {num_cover} cases on."
    ]
