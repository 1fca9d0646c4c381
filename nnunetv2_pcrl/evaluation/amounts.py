"""Numbers of labelled cases, the points of a label-efficiency curve."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nnunetv2_pcrl.label_folds.table import LabelFold

# Ordinary folds differ in size by a case or so, and the same fraction of them does too.
MOST_DIFFERENCE = 1.1


@dataclass(frozen=True)
class Amount:
    """Label folds that stand for the same number of labelled cases.

    Attributes:
        folds: their label folds, of all ordinary folds and repeats.
    """

    folds: tuple[LabelFold, ...]

    @property
    def num_cases(self) -> float:
        """Labelled cases, mean of the folds."""
        return sum(fold.num_cases for fold in self.folds) / len(self.folds)

    def __str__(self) -> str:
        low, high = (f(fold.num_cases for fold in self.folds) for f in (min, max))
        return str(low) if low == high else f"{low}-{high}"


def amounts_of(folds: Iterable[LabelFold]) -> tuple[Amount, ...]:
    """Groups label folds by their number of labelled cases, fewest first.

    Sizes that differ by no more than a tenth are one amount, unless an ordinary fold has both.
    """
    groups: list[list[LabelFold]] = []
    for fold in sorted(folds, key=lambda f: (f.num_cases, f.fold)):
        if groups and _belongs(fold, groups[-1]):
            groups[-1].append(fold)
        else:
            groups.append([fold])
    return tuple(Amount(tuple(group)) for group in groups)


def _belongs(fold: LabelFold, group: Sequence[LabelFold]) -> bool:
    smallest = group[0].num_cases
    if fold.num_cases > MOST_DIFFERENCE * smallest:
        return False
    return all(
        other.num_cases == fold.num_cases for other in group if other.of_fold == fold.of_fold
    )
