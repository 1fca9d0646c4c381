"""What came out of a comparison, in a sentence per trainer."""

from collections.abc import Mapping, Sequence

from nnunetv2_pcrl.evaluation.comparison import Comparison, Row
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric
from nnunetv2_pcrl.evaluation.statistics import CONFIDENCE, Difference

BETTER, WORSE, OPEN, SINGLE = "better", "worse", "open", "single"
WORDS = {
    BETTER: "better with {amounts} labelled cases",
    WORSE: "worse with {amounts} labelled cases",
    OPEN: "not told apart from it with {amounts} labelled cases",
    SINGLE: "not judged with {amounts} labelled cases, as one pair of runs alone is finished",
}


def verdicts(
    comparison: Comparison, rows: Sequence[Row], names: Mapping[str, str], metric: Metric
) -> tuple[str, ...]:
    """One sentence per trainer other than the twin, of those with a paired difference.

    Better and worse are said where the interval over the runs and that over the cases (where there
    is one) are both on one side of zero, and the test over the runs is significant after its
    adjustment for all trainers and numbers of labels: of many intervals some leave zero by chance.

    Args:
        comparison: what is compared.
        rows: as `compare` makes them.
        names: short ones of the trainers.
        metric: that is compared.
    """
    sentences = []
    for trainer in comparison.trainers:
        said: dict[str, list[str]] = {}
        for row in rows:
            if (row.trainer, row.metric, row.label) == (trainer, metric, MEAN) and row.difference:
                said.setdefault(judged(row.difference, metric, row.run_holm_p), []).append(
                    str(row.amount)
                )
        if said:
            parts = [
                WORDS[word].format(amounts=" and ".join(said[word]))
                for word in WORDS
                if word in said
            ]
            sentences.append(
                f"{names[trainer]} against {names[comparison.twin]}, by mean {metric.name}: "
                f"{'; '.join(parts)}."
            )
    return tuple(sentences)


def judged(found: Difference, metric: Metric, run_holm_p: float | None) -> str:
    """BETTER, WORSE, OPEN, or SINGLE for one pair of runs, which says nothing of others.

    Args:
        found: the difference.
        metric: that it is of.
        run_holm_p: adjusted p of the test over the runs; None for one pair.
    """
    if run_holm_p is None:
        return SINGLE
    if run_holm_p > 1 - CONFIDENCE:
        return OPEN
    ends = [*found.run_interval, *(found.case_interval if found.num_cases > 1 else ())]
    if not metric.is_more_better:
        ends = [-end for end in ends]
    if min(ends) > 0:
        return BETTER
    return WORSE if max(ends) < 0 else OPEN
