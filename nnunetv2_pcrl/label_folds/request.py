"""What a person asks for: which subsets of which folds."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnunetv2_pcrl.label_folds.files import joined
from nnunetv2_pcrl.label_folds.splits import NUM_FOLDS, SPLITS_NAME, Split
from nnunetv2_pcrl.label_folds.subsets import counts_of_fractions
from nnunetv2_pcrl.label_folds.table import LabelFold


@dataclass(frozen=True)
class Request:
    """Label folds to have. Either fractions or counts are given.

    Attributes:
        fractions: parts of a fold's training cases, above 0 and at most 1.
        counts: numbers of training cases.
        folds: ordinary folds; None for the first five, or as many as there are.
        repeats: different draws of each subset. With all training cases they are equal, and
            trainings differ by nnU-Net's own chance.
        seed: of the draws; None for that of the folds that are there, or 0.
        by_classes: whether labels are the classes of classes.csv although there may be
            segmentations.
    """

    fractions: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    folds: tuple[int, ...] | None = None
    repeats: int = 3
    seed: int | None = None
    by_classes: bool = False

    def __post_init__(self):
        for name, numbers in (
            ("--fractions", self.fractions),
            ("--cases", self.counts),
            ("--folds", self.folds or ()),
        ):
            twice = sorted({n for n in numbers if numbers.count(n) > 1})
            if twice:
                raise ValueError(f"{name} names {_listed(twice)} more than once.")
        odd = [f for f in self.fractions if not 0 < f <= 1]
        if odd:
            raise ValueError(
                f"--fractions must be above 0 and at most 1, got {_listed(odd)}. Numbers of cases "
                f"are given by --cases."
            )
        for name, numbers in (("--cases", self.counts), ("--repeats", (self.repeats,))):
            if min(numbers, default=1) < 1:
                raise ValueError(f"{name} must be at least 1, got {min(numbers)}.")
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"--seed must be at least 0, got {self.seed}.")


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def ordinary_folds(
    asked: Sequence[int] | None, splits: Sequence[Split], known: Sequence[LabelFold]
) -> list[int]:
    """The ordinary folds that were asked for, ascending.

    Args:
        asked: numbers; None for the first five, or as many as there are.
        splits: all folds.
        known: label folds among them.

    Raises:
        ValueError: if there is no such fold, or if it is a label fold.
    """
    of_fold = {f.fold: f.of_fold for f in known}
    ordinary = [number for number in range(len(splits)) if number not in of_fold]
    if asked is None:
        return ordinary[:NUM_FOLDS]
    for fold in asked:
        if fold in of_fold:
            raise ValueError(
                f"Fold {fold} is a label fold itself, a part of fold {of_fold[fold]}; ordinary "
                f"folds are {joined(ordinary)}."
            )
        if fold not in ordinary:
            raise ValueError(
                f"There is no fold {fold} in {SPLITS_NAME}; ordinary folds are {joined(ordinary)}."
            )
    return sorted(asked)


def counts_of(request: Request, split: Split, fold: int) -> tuple[int, ...]:
    """Numbers of cases of the subsets of a fold, ascending.

    Raises:
        ValueError: if the fold has not so many, or if two fractions are as many.
    """
    available = len(set(split["train"]))
    counts = request.counts or counts_of_fractions(request.fractions, available, fold)
    if max(counts) > available:
        raise ValueError(
            f"Fold {fold} has {available} training cases, {max(counts)} were asked for: give at "
            f"most {available}, or --fractions 1.0 for all of them."
        )
    return tuple(sorted(counts))
