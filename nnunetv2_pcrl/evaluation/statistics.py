"""Statistics of values that were measured on the same cases, by trainings on the same cases."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
NUM_RESAMPLES = 10_000
RESAMPLES_AT_ONCE = 500
SEED = 0

# By label fold and case; NaN or infinite where there is no value.
Values = Mapping[tuple[int, str], float]


@dataclass(frozen=True)
class Spread:
    """Values of one trainer.

    Attributes:
        mean: over the cases, of the means over the runs.
        run_std: standard deviation over the runs of their mean; NaN for a single run.
        num_runs: with a value.
        num_cases: with a value.
        num_nan: values that are NaN.
        num_infinite: values that are infinite.
    """

    mean: float
    run_std: float
    num_runs: int
    num_cases: int
    num_nan: int
    num_infinite: int


@dataclass(frozen=True)
class Difference:
    """Paired difference of a trainer to its twin, where both have a value.

    Attributes:
        mean: over the cases, of the means over the runs.
        case_interval: 95 % bootstrap interval over the cases, trainings held fixed; NaN for one.
        p_value: Wilcoxon's signed-rank test over the cases, two-sided.
        num_cases: pairs of cases.
        run_mean: mean over the runs of their mean difference.
        run_interval: 95 % t-interval over the runs; NaN for a single run.
        num_runs: pairs of runs.
        num_better: runs in which the trainer is better than its twin.
    """

    mean: float
    case_interval: tuple[float, float]
    p_value: float
    num_cases: int
    run_mean: float
    run_interval: tuple[float, float]
    num_runs: int
    num_better: int


def spread(values: Values) -> Spread:
    """Mean and spread of the finite values; NaN where there is none."""
    finite = {key: value for key, value in values.items() if math.isfinite(value)}
    cases, runs = case_means(finite), run_means(finite)
    return Spread(
        mean=float(np.mean(list(cases.values()))) if cases else math.nan,
        run_std=float(np.std(list(runs.values()), ddof=1)) if len(runs) > 1 else math.nan,
        num_runs=len(runs),
        num_cases=len(cases),
        num_nan=sum(math.isnan(value) for value in values.values()),
        num_infinite=sum(math.isinf(value) for value in values.values()),
    )


def paired_values(values: Values, twin: Values) -> dict[tuple[int, str], float]:
    """Differences where both have a finite value, by label fold and case."""
    return {
        key: values[key] - twin[key]
        for key in values
        if key in twin and math.isfinite(values[key]) and math.isfinite(twin[key])
    }


def difference(values: Values, twin: Values, more_is_better: bool = True) -> Difference | None:
    """The paired difference of two trainers; None where nothing is paired."""
    pairs = paired_values(values, twin)
    if not pairs:
        return None
    cases = np.array(list(case_means(pairs).values()))
    runs = np.array(list(run_means(pairs).values()))
    return Difference(
        mean=float(cases.mean()),
        case_interval=bootstrap_interval(cases),
        p_value=signed_rank_test(cases),
        num_cases=len(cases),
        run_mean=float(runs.mean()),
        run_interval=t_interval(runs),
        num_runs=len(runs),
        num_better=int((runs > 0 if more_is_better else runs < 0).sum()),
    )


def case_means(values: Values) -> dict[str, float]:
    """Mean over the runs, by case."""
    return _means((case, value) for (_, case), value in values.items())


def run_means(values: Values) -> dict[int, float]:
    """Mean over the cases, by label fold."""
    return _means((fold, value) for (fold, _), value in values.items())


def _means(pairs) -> dict:
    grouped = defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return {key: float(np.mean(group)) for key, group in grouped.items()}


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean; NaN for a single value.

    Equal values give equal intervals.

    Args:
        values: shape [N].
    """
    if len(values) < 2:
        return math.nan, math.nan
    generator = np.random.default_rng(SEED)
    # In parts: all at once would take much memory for many cases.
    means = np.concatenate(
        [
            generator.choice(values, (RESAMPLES_AT_ONCE, values.size)).mean(1)
            for _ in range(NUM_RESAMPLES // RESAMPLES_AT_ONCE)
        ]
    )
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of a normal sample; NaN for a single value."""
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    half *= values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def signed_rank_test(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; zeros are left out, and alone give 1."""
    if not np.any(differences):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for the number of tests, in their order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values, kind="stable")
    remaining = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(remaining * p_values[order]))
    return adjusted.tolist()
