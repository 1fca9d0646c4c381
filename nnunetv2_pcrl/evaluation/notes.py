"""The sentences below the tables of a comparison: what each column means, and what it does not."""

from collections.abc import Sequence

from nnunetv2_pcrl.evaluation.metric import Metric
from nnunetv2_pcrl.evaluation.pace import FEWEST_EPOCHS
from nnunetv2_pcrl.evaluation.statistics import Difference


def result_notes(
    metrics: Sequence[Metric], has_labels: bool, has_endless: bool, num_absent: int
) -> tuple[str, ...]:
    """Below the results.

    Args:
        metrics: the one that is tested first.
        has_labels: whether single labels have columns.
        has_endless: whether there is a column of values that do not exist.
        num_absent: values left out because nothing was there.
    """
    first = metrics[0].name
    listed = ", ".join(metric.name for metric in metrics)
    notes = [
        f"{listed}: mean over the validation cases of the mean over the runs; +- is the standard "
        f"deviation over the runs of their mean {first}."
        + (" Each is the mean of the labels." if has_labels else "")
    ]
    for metric in metrics:
        if metric.definition:
            notes.append(f"{metric.title}, {metric.better} is better: {metric.definition}.")
    if has_endless:
        notes.append(
            "none: values of runs and cases without a distance, because a label was missed "
            "altogether. They are left out of the means, which flatters who misses most."
        )
    if num_absent:
        notes.append(
            f"{num_absent} values of {first} of single runs, cases and labels are left out, "
            f"because the label is not in the reference."
        )
    return tuple(notes)


def difference_notes(
    metric: Metric, paired: Sequence[Difference], has_cases: bool, num_tests: int
) -> tuple[str, ...]:
    """Below the differences.

    Args:
        metric: that is compared.
        paired: all differences of the table.
        has_cases: whether there are differences of single cases.
        num_tests: over the cases.
    """
    sign = "positive" if metric.is_more_better else "negative"
    notes = [
        f"{sign.capitalize()} is better than the twin. Only label folds that both trainers have "
        f"finished, and cases in which both have a value. {_pairing(paired)}"
    ]
    if has_cases:
        notes.append(
            f"over cases: mean difference, and its 95 % bootstrap interval over the validation "
            f"cases; p: Wilcoxon's signed-rank test over them; p (Holm): adjusted for the "
            f"{num_tests} tests of this table. They hold for these very trainings: two that differ "
            f"by chance alone can have p < 0.001. With fewer than about ten cases the interval is "
            f"too narrow."
        )
    notes += [
        f"over runs: mean difference, and its 95 % t-interval over the pairs of runs; p (Holm): "
        f"t-test over them, adjusted for the rows of this table that have one; better in: runs "
        f"with the {metric.better} {metric.name}. They include the chance of the training and of "
        f"the choice of labelled cases, but not that of the pretraining, which the runs of a fold "
        f"share, as they share their validation cases"
        + (": believe what both say, for this pretraining." if has_cases else "."),
        "detectable: the true difference that so many pairs of runs with their spread tell from 0 "
        "in four of five experiments (t-test at 5 %). To see half of it takes about four times as "
        "many pairs.",
    ]
    return tuple(notes)


def saving_notes(metric: Metric, has_pace: bool) -> tuple[str, ...]:
    """Below labels and epochs.

    Args:
        metric: that is compared.
        has_pace: whether there is a column of epochs.
    """
    notes = [
        f"label efficiency: labelled cases that the twin needs for the same {metric.name}, divided "
        f"by those used, at the difference and at both ends of its interval over the runs. The "
        f"twin's curve is held fixed, made to rise, and linear in the logarithm of the number of "
        f"cases; >= and <= where it does not reach that far."
    ]
    if has_pace:
        notes.append(
            f"epochs to the twin's end: after how many epochs the curve of the figure, averaged "
            f"over the pairs, is for the first time where the twin's ends; in brackets the runs "
            f"whose curve gets there. Both as means of {FEWEST_EPOCHS} epochs or a twentieth of "
            f"the training. An equal that scatters gets there a little before its own end."
        )
    return tuple(notes)


def _pairing(paired: Sequence[Difference]) -> str:
    same, pairs = (sum(getattr(p, name) for p in paired) for name in ("num_same_seed", "num_runs"))
    if not same:
        return (
            "Runs are paired by label fold; no pair shares a seed (_seedN in the names of both "
            "trainers), so that the chance of both trainings is in every difference."
        )
    return (
        f"Runs are paired by label fold and seed: {same} of {pairs} pairs share the seed of their "
        f"names (_seedN), and with it batches, augmentation and the initialisation of what is not "
        f"loaded."
    )
