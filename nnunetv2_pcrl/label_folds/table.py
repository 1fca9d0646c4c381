"""Label folds: folds of splits_final.json that train on a part of another fold's cases."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.weights.plain_names import plain_number

TABLE_NAME = "label_folds.json"


@dataclass(frozen=True)
class LabelFold:
    """One fold that trains on some of the cases of an ordinary fold and validates on all of its.

    Attributes:
        fold: its number in splits_final.json.
        of_fold: the ordinary fold whose cases it takes.
        num_cases: labelled training cases.
        fraction: these, as a part of the training cases of `of_fold`.
        repeat: 0, 1, ...; repeats draw different cases.
    """

    fold: int
    of_fold: int
    num_cases: int
    fraction: float
    repeat: int

    def as_plain(self) -> dict[str, Any]:
        """As written to the table."""
        return asdict(self)


def read_label_folds(preprocessed: Path, name: str = TABLE_NAME) -> tuple[LabelFold, ...]:
    """The table of label folds; empty if there is none.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        name: of the file.

    Raises:
        ValueError: if the file is not such a table.
    """
    path = preprocessed / name
    if not path.is_file():
        return ()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["label_folds"]
        return tuple(map(label_fold_of, rows))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no table of label folds ({type(error).__name__}: {error}). Restore it, or "
            f"delete it together with the folds that nnUNetv2_pcrl_label_folds appended to "
            f"splits_final.json."
        ) from error


def label_fold_of(row: Mapping[str, Any]) -> LabelFold:
    """A label fold as `LabelFold.as_plain` gives it; its numbers go into folders and commands.

    Raises:
        ValueError, KeyError or TypeError: if it is anything else.
    """
    fold = LabelFold(**row)
    for name in ("fold", "of_fold", "num_cases", "repeat"):
        plain_number(row[name], name)
    if isinstance(fold.fraction, bool) or not isinstance(fold.fraction, int | float):
        raise ValueError(f"fraction {fold.fraction!r} is no number")
    return fold


def label_folds_among(
    table: Sequence[LabelFold],
    cases: Sequence[int] | None = None,
    folds: Sequence[int] | None = None,
    num_repeats: int | None = None,
) -> list[LabelFold]:
    """Those that are asked for, in the order of the table; None takes all.

    Args:
        table: all label folds.
        cases: numbers of labelled cases.
        folds: ordinary folds.
        num_repeats: the first so many repeats.
    """
    repeats = None if num_repeats is None else range(num_repeats)

    def is_asked_for(part: LabelFold) -> bool:
        asked = ((cases, part.num_cases), (folds, part.of_fold), (repeats, part.repeat))
        return all(values is None or value in values for values, value in asked)

    return [part for part in table if is_asked_for(part)]


def ordinary_fold(folds: Sequence[LabelFold], fold: int | str) -> int | str:
    """The ordinary fold that a fold is a part of; itself if it is no label fold.

    Both validate on the same cases, so weights pretrained on its training images have seen none
    of them.
    """
    return next((f.of_fold for f in folds if f.fold == fold), fold)
