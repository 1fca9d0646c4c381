"""What keeps results and folds together: label folds that have results are never changed."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.label_folds.files import (
    Table,
    disagreeing_folds,
    finish_interrupted,
    joined,
    read_table,
    take_out_folds,
)
from nnunetv2_pcrl.label_folds.splits import SPLITS_NAME, read_splits
from nnunetv2_pcrl.label_folds.table import TABLE_NAME


def folds_with_results(dataset_results: Path, folds: Iterable[int]) -> dict[int, list[Path]]:
    """Result folders that hold a checkpoint, by fold.

    Args:
        dataset_results: folder of the data set in nnUNet_results; it may be missing.
        folds: numbers to look for.
    """
    found = {
        fold: sorted({p.parent for p in dataset_results.glob(f"*/fold_{fold}/checkpoint_*.pth")})
        for fold in folds
    }
    return {fold: folders for fold, folders in found.items() if folders}


@dataclass(frozen=True)
class Removed:
    """What has become of the label folds.

    Attributes:
        count: that are not among the splits any more.
        left: numbers of those that stay there as ordinary folds, because they were edited.
    """

    count: int
    left: list[int]


def remove_label_folds(preprocessed: Path, dataset_results: Path) -> Removed:
    """Takes all label folds out again.

    Raises:
        ValueError: if there are none, if one has results, or if other folds would be renumbered.
    """
    finish_interrupted(preprocessed)
    table = read_table(preprocessed)
    if table is None:
        raise ValueError(f"{preprocessed.name} has no label folds.")
    results = folds_with_results(dataset_results, (f.fold for f in table.folds))
    if results:
        raise ValueError(
            f"There are results of label folds {joined(results)}, e.g. {_example(results)}, which "
            f"would be those of no fold any more. Move or delete them first."
        )
    left = take_out_folds(preprocessed, table)
    return Removed(len(table.folds) - len(left), left)


def in_words(removed: Removed, preprocessed: Path) -> str:
    """What a person has to know who goes on with that data set."""
    text = f"{preprocessed.name}: {removed.count} label folds were taken out."
    if not removed.left:
        return text
    return (
        f"{text}\nThe folds {joined(removed.left)} of {preprocessed / SPLITS_NAME} are not as they "
        f"were drawn, and stay there as ordinary folds. If nobody needs them, take them out in an "
        f"editor before label folds are drawn anew, which are numbered behind them."
    )


def check_unchanged(preprocessed: Path, table: Table, dataset_results: Path) -> None:
    """Refuses to go on where splits_final.json is another than the label folds were drawn from.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        table: of the label folds.
        dataset_results: folder of the data set in nnUNet_results; it may be missing.

    Raises:
        ValueError: naming the folds, those with results, and the remedy.
    """
    changed = disagreeing_folds(table, read_splits(preprocessed) or [])
    if changed:
        raise ValueError(
            f"{preprocessed / SPLITS_NAME} was edited or made anew since {TABLE_NAME} was written: "
            f"changed or missing are the folds {joined(changed)}. Put the former file back. "
            + _removal(table, dataset_results)
        )


def check_seed(table: Table, seed: int | None, dataset_results: Path) -> None:
    """Refuses another seed than that of the label folds that are there.

    Raises:
        ValueError: naming both, the folds, those with results, and the remedy.
    """
    if seed is not None and seed != table.seed:
        raise ValueError(
            f"The label folds {joined(f.fold for f in table.folds)} were drawn with the seed "
            f"{table.seed}, not {seed}. Give --seed {table.seed}. "
            + _removal(table, dataset_results)
        )


def _removal(table: Table, dataset_results: Path) -> str:
    """The other remedy, and which folds have results."""
    results = folds_with_results(dataset_results, table.digests)
    how = (
        f"take the label folds out with nnUNetv2_pcrl_label_folds "
        f"-d {shlex.quote(dataset_results.name)} --remove, and draw them anew."
    )
    if not results:
        return f"Or {how} None of them has results."
    found = f"There are results of folds {joined(results)}, e.g. {_example(results)}."
    if results.keys().isdisjoint(f.fold for f in table.folds):
        return f"Or {how} {found}"
    return f"Or move the results of label folds away, {how} {found}"


def check_numbers_are_free(dataset_results: Path, numbers: range) -> None:
    """Refuses numbers under which other trainings have left results.

    nnU-Net trains a fold that splits_final.json does not have, on a random split.

    Raises:
        ValueError: naming them.
    """
    results = folds_with_results(dataset_results, numbers)
    if results:
        raise ValueError(
            f"The new folds would be {joined(numbers)}, but there are results of other folds "
            f"{joined(results)}, e.g. {_example(results)}. Move or delete them first."
        )


def _example(results: Mapping[int, Sequence[Path]]) -> str:
    return str(next(iter(results.values()))[0])
