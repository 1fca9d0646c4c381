"""Which cases stand for all others: the best, the median and the worst."""

import math
from collections.abc import Mapping

BEST, MEDIAN, WORST = "best", "median", "worst"


def best_median_worst(values: Mapping[str, float], is_more_better: bool = True) -> dict[str, str]:
    """Cases by what they are; of few cases one may be several.

    Args:
        values: by case; those that are not finite are left out.
        is_more_better: whether a higher value is better.

    Returns:
        Case by rank, best first; empty without a value. Of an even number of cases the better of
        the two in the middle is the median.
    """
    finite = [case for case, value in values.items() if math.isfinite(value)]
    if not finite:
        return {}
    sign = -1 if is_more_better else 1
    ranked = sorted(finite, key=lambda case: (sign * values[case], case))
    return {BEST: ranked[0], MEDIAN: ranked[(len(ranked) - 1) // 2], WORST: ranked[-1]}


def ranks_by_case(ranks: Mapping[str, str]) -> dict[str, str]:
    """The other way round: each case once, with all that it is, e.g. median and worst."""
    words: dict[str, list[str]] = {}
    for rank, case in ranks.items():
        words.setdefault(case, []).append(rank)
    return {case: ", ".join(found) for case, found in words.items()}
