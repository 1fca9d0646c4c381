"""The two files of label folds, splits_final.json and the table beside it, kept in agreement.

The table notes a digest of every fold that it speaks of. A folder in which splits_final.json was
edited or made anew is found by that.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchgenerators.utilities.file_and_folder_operations import save_json

from nnunetv2_pcrl.datasets.raw import read_json, write_json
from nnunetv2_pcrl.label_folds.splits import SPLITS_NAME, Split, read_splits
from nnunetv2_pcrl.label_folds.table import TABLE_NAME, LabelFold, read_label_folds
from nnunetv2_pcrl.weights.atomic import replaced_atomically
from nnunetv2_pcrl.weights.plain_names import plain_number

# The next table, while splits_final.json is being replaced.
PENDING_NAME = "label_folds.pending.json"


@dataclass(frozen=True)
class Table:
    """The table of label folds with what shows that splits_final.json still agrees.

    Attributes:
        seed: of the draws.
        folds: label folds by number, ascending.
        digests: by number, of label folds and of the ordinary folds that they are parts of.
    """

    seed: int
    folds: tuple[LabelFold, ...]
    digests: dict[int, str]


def table_of(seed: int, folds: Sequence[LabelFold], splits: Sequence[Split]) -> Table:
    """A table that agrees with the splits."""
    numbers = sorted({f.fold for f in folds} | {f.of_fold for f in folds})
    return Table(seed, tuple(folds), {number: _digest(splits[number]) for number in numbers})


def _digest(split: Split) -> str:
    # The order of cases means nothing to nnU-Net.
    content = json.dumps([sorted(split["train"]), sorted(split["val"])])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def read_table(preprocessed: Path, name: str = TABLE_NAME) -> Table | None:
    """The table; None if there are no label folds.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        name: of the file.

    Raises:
        ValueError: if the file is damaged, or was not written here.
    """
    folds = read_label_folds(preprocessed, name)
    if not folds:
        return None
    content = read_json(preprocessed / name)
    try:
        digests = {
            plain_number(int(number), "fold"): digest
            for number, digest in content["digests"].items()
        }
        return Table(content["seed"], folds, digests)
    except (KeyError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{preprocessed / name} was not written by nnUNetv2_pcrl_label_folds "
            f"({type(error).__name__}: {error}). Restore it."
        ) from error


def disagreeing_folds(table: Table, splits: Sequence[Split]) -> list[int]:
    """Folds of the table that the splits hold otherwise or not at all, ascending."""
    return [
        number
        for number, digest in sorted(table.digests.items())
        if number >= len(splits) or _digest(splits[number]) != digest
    ]


def write_folds(preprocessed: Path, splits: Sequence[Split], table: Table) -> None:
    """Writes both files.

    A kill leaves either the old pair, or the new splits and the pending table, which
    `finish_interrupted` puts in its place: no fold is ever there that neither table names.
    """
    content = {
        "seed": table.seed,
        "label_folds": [fold.as_plain() for fold in table.folds],
        "digests": {str(number): digest for number, digest in table.digests.items()},
    }
    write_json(preprocessed / PENDING_NAME, content)
    write_splits(preprocessed, splits)
    os.replace(preprocessed / PENDING_NAME, preprocessed / TABLE_NAME)


def write_splits(preprocessed: Path, splits: Sequence[Split]) -> None:
    """Writes splits_final.json, never half."""
    with replaced_atomically(preprocessed / SPLITS_NAME) as temporary:
        # As nnU-Net writes it.
        save_json(splits, str(temporary))


def finish_interrupted(preprocessed: Path) -> None:
    """Completes or drops what a kill between the two files left."""
    table = read_table(preprocessed, PENDING_NAME)
    if table is None:
        return
    if disagreeing_folds(table, read_splits(preprocessed) or []):
        (preprocessed / PENDING_NAME).unlink()
    else:
        os.replace(preprocessed / PENDING_NAME, preprocessed / TABLE_NAME)


def take_out_folds(preprocessed: Path, table: Table) -> list[int]:
    """Removes the label folds from splits_final.json, and then the table.

    Returns:
        Label folds that stay among the splits, because they are not as they were drawn.

    Raises:
        ValueError: if other folds would get other numbers.
    """
    splits = read_splits(preprocessed) or []
    changed = set(disagreeing_folds(table, splits))
    removed = {fold.fold for fold in table.folds} - changed
    kept = [number for number in range(len(splits)) if number not in removed]
    renumbered = [number for number in kept if number != kept.index(number)]
    if renumbered:
        raise ValueError(
            f"Folds {joined(renumbered)} of {preprocessed / SPLITS_NAME} are not as drawn and lie "
            f"behind label folds: they would get other numbers. Take out all from fold "
            f"{table.folds[0].fold} on in an editor, and run --remove again."
        )
    if removed:
        write_splits(preprocessed, [splits[number] for number in kept])
    (preprocessed / TABLE_NAME).unlink()
    return [fold.fold for fold in table.folds if fold.fold in changed and fold.fold < len(splits)]


def joined(numbers: Iterable[int]) -> str:
    """Numbers for a message, neighbours as a range: "0, 5-19"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs)
