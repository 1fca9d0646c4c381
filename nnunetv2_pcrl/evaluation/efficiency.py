"""Label efficiency: how many labels training from scratch needs to be as good."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.optimize import isotonic_regression


@dataclass(frozen=True)
class LabelEfficiency:
    """What labels are worth.

    Attributes:
        twin_cases: labelled cases with which the twin is as good.
        factor: these, divided by the labelled cases that were used.
        bound: "" if the twin's curve reaches as far, ">=" or "<=" if both numbers are bounds.
    """

    twin_cases: float
    factor: float
    bound: str = ""

    def __str__(self) -> str:
        return f"{self.bound} {self.factor:.2f}".strip()


def label_efficiency(
    difference: float, num_cases: float, twin_values: Sequence[float], twin_cases: Sequence[float]
) -> LabelEfficiency:
    """Reads off the twin's curve how many labels it needs.

    The curve is made to rise by isotonic regression and is linear in the logarithm of the number
    of cases between its points. Beyond them nothing is extrapolated.

    Args:
        difference: to the twin, positive where it is better.
        num_cases: labelled cases of both, one of `twin_cases`.
        twin_values: of the twin; higher is better.
        twin_cases: labelled cases of each, rising.
    """
    rising = isotonic_regression(twin_values).x
    own = twin_cases.index(num_cases)
    # From the curve that is read: what equals its twin is worth as many labels as it was given.
    value = rising[own] + difference
    equal = [index for index, level in enumerate(rising) if level == value]
    if equal:
        cases = twin_cases[min(equal, key=lambda index: abs(index - own))]
        return LabelEfficiency(cases, cases / num_cases)
    if value > rising[-1]:
        return LabelEfficiency(twin_cases[-1], twin_cases[-1] / num_cases, ">=")
    if value < rising[0]:
        return LabelEfficiency(twin_cases[0], twin_cases[0] / num_cases, "<=")
    end = next(index for index, level in enumerate(rising) if level > value)
    share = (value - rising[end - 1]) / (rising[end] - rising[end - 1])
    low, high = math.log(twin_cases[end - 1]), math.log(twin_cases[end])
    cases = math.exp(low + share * (high - low))
    return LabelEfficiency(cases, cases / num_cases)
