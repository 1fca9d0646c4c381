"""Statistics of values that were measured on the same cases, by trainings on the same cases."""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, stats

CONFIDENCE, POWER = 0.95, 0.8
NUM_RESAMPLES = 10_000
RESAMPLES_AT_ONCE = 500
SEED = 0

# Label fold and seed; None for a run without a seed.
RunKey = tuple[int, int | None]
# By run and case; NaN or infinite where there is no value.
Values = Mapping[tuple[RunKey, str], float]


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
        p_value: Wilcoxon's signed-rank test over the cases, two-sided; NaN for one.
        num_cases: pairs of cases.
        run_mean: mean over the runs of their mean difference.
        run_interval: 95 % t-interval over the runs; NaN for a single run.
        run_p_value: the t-test over the runs, two-sided; NaN for a single run.
        num_runs: pairs of runs.
        num_better: runs in which the trainer is better than its twin.
        num_same_seed: pairs of runs that share a seed, and with it what chance decides.
    """

    mean: float
    case_interval: tuple[float, float]
    p_value: float
    num_cases: int
    run_mean: float
    run_interval: tuple[float, float]
    run_p_value: float
    num_runs: int
    num_better: int
    num_same_seed: int = 0

    @property
    def detectable(self) -> float:
        """The true difference that so many runs with their spread tell from 0."""
        return detectable_mean(self.run_interval, self.num_runs)


def spread(values: Values) -> Spread:
    """Mean and spread of the finite values; NaN where there is none."""
    finite = _finite(values)
    cases, runs = case_means(finite), run_means(finite)
    return Spread(
        mean=float(np.mean(list(cases.values()))) if cases else math.nan,
        run_std=float(np.std(list(runs.values()), ddof=1)) if len(runs) > 1 else math.nan,
        num_runs=len(runs),
        num_cases=len(cases),
        num_nan=sum(math.isnan(value) for value in values.values()),
        num_infinite=sum(math.isinf(value) for value in values.values()),
    )


def on_shared_runs(values: Values, twin: Values) -> tuple[Values, Values]:
    """Values of both where both have one that is finite, with the same keys.

    Runs are paired by label fold and seed. On a label fold where no seed is shared because one side
    has runs without one, the means over the seeds of both sides are paired.
    """
    seeds = [_seeds_by_fold(side) for side in (values, twin)]
    seedless = {
        fold
        for fold in seeds[0].keys() & seeds[1].keys()
        if not seeds[0][fold] & seeds[1][fold] and None in seeds[0][fold] | seeds[1][fold]
    }
    sides = [_without_seeds(_finite(side), seedless) for side in (values, twin)]
    shared = [key for key in sides[0] if key in sides[1]]
    return {key: sides[0][key] for key in shared}, {key: sides[1][key] for key in shared}


def _finite(values: Values) -> Values:
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _seeds_by_fold(values: Values) -> dict[int, set[int | None]]:
    seeds = defaultdict(set)
    for (fold, seed), _ in values:
        seeds[fold].add(seed)
    return seeds


def _without_seeds(values: Values, folds: Collection[int]) -> Values:
    """With the mean over the seeds on those label folds."""
    return _means(
        (((fold, None if fold in folds else seed), case), value)
        for ((fold, seed), case), value in values.items()
    )


def paired_values(values: Values, twin: Values) -> Values:
    """Differences, by run and case, as `on_shared_runs` pairs them."""
    own, others = on_shared_runs(values, twin)
    return {key: own[key] - others[key] for key in own}


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
        p_value=signed_rank_test(cases) if len(cases) > 1 else math.nan,
        num_cases=len(cases),
        run_mean=float(runs.mean()),
        run_interval=t_interval(runs),
        run_p_value=t_test(runs),
        num_runs=len(runs),
        num_better=int((runs > 0 if more_is_better else runs < 0).sum()),
        num_same_seed=sum(seed is not None for _, seed in run_means(pairs)),
    )


def case_means(values: Values) -> dict[str, float]:
    """Mean over the runs, by case."""
    return _means((case, value) for (_, case), value in values.items())


def run_means(values: Values) -> dict[RunKey, float]:
    """Mean over the cases, by run; values that are not finite are left out."""
    return _means((run, value) for (run, _), value in _finite(values).items())


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
    half = _critical_t(len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def t_test(values: np.ndarray) -> float:
    """Two-sided p of a normal sample's mean being 0; NaN for a single value.

    Values without a spread give 0, or 1 if they are 0.
    """
    if len(values) < 2:
        return math.nan
    error = values.std(ddof=1) / math.sqrt(len(values))
    if not error:
        return 0.0 if values.mean() else 1.0
    return float(2 * stats.t.sf(abs(values.mean()) / error, len(values) - 1))


def detectable_mean(interval: tuple[float, float], number: int) -> float:
    """The true mean that a two-sided t-test at 5 % tells from 0 in four of five samples.

    Args:
        interval: of a sample, as `t_interval` gives it.
        number: of its values; NaN for a single one.
    """
    if number < 2:
        return math.nan
    low, high = interval
    return (high - low) / 2 / _critical_t(number - 1) * _shift(number - 1)


def _critical_t(degrees: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))


@cache
def _shift(degrees: int) -> float:
    """True mean over its standard error at which a t-test has its power."""
    critical = _critical_t(degrees)

    def lacking(shift: float) -> float:
        return float(stats.nct.sf(critical, degrees, shift)) - POWER

    # With one degree of freedom it is 16, with many 2.8.
    return float(optimize.brentq(lacking, 0.0, 50.0))


def signed_rank_test(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; zeros are left out, and alone give 1."""
    if not np.any(differences):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for the number of tests, in their order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    remaining = len(values) - np.arange(len(values))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(remaining * values[order]))
    return [float(value) for value in adjusted]
