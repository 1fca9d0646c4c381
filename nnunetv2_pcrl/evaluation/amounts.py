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
    of_sizes: dict[int, list[LabelFold]] = {}
    for fold in sorted(folds, key=lambda f: (f.num_cases, f.fold)):
        of_sizes.setdefault(fold.num_cases, []).append(fold)
    groups: list[list[LabelFold]] = []
    for of_size in of_sizes.values():
        if groups and _belong(of_size, groups[-1]):
            groups[-1] += of_size
        else:
            groups.append(of_size)
    return tuple(Amount(tuple(group)) for group in groups)


def _belong(of_size: Sequence[LabelFold], group: Sequence[LabelFold]) -> bool:
    """Whether label folds of one size are of a group of smaller ones."""
    ordinary = [{fold.of_fold for fold in folds} for folds in (of_size, group)]
    is_near = of_size[0].num_cases <= MOST_DIFFERENCE * group[0].num_cases
    return is_near and not set.intersection(*ordinary)
