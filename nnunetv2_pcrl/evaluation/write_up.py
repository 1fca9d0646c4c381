"""What a comparison says in words and tables, before it is Markdown or a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnunetv2_pcrl.evaluation.cells import (
    efficiency_text,
    number_text,
    p_text,
    runs_text,
    with_interval,
    with_spread,
)
from nnunetv2_pcrl.evaluation.comparison import (
    Comparison,
    Row,
    ScoresOfRuns,
    first_metric,
    labels_by_metric,
)
from nnunetv2_pcrl.evaluation.metric import ALL_CASES, MEAN, Metric
from nnunetv2_pcrl.evaluation.notes import difference_notes, result_notes, saving_notes
from nnunetv2_pcrl.evaluation.trainers import short_names
from nnunetv2_pcrl.evaluation.verdict import verdicts

INCOMPLETE = (
    "; while some are missing, only the differences are of the same runs and cases on both sides: "
    "means of different rows, and the curve behind the label efficiency, may not be"
)


@dataclass(frozen=True)
class Table:
    """A table and what its columns mean.

    Attributes:
        title: above it.
        header: names of the columns.
        body: cells as text.
        notes: sentences below it.
    """

    title: str
    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WriteUp:
    """Everything that is said.

    Attributes:
        title: of the whole.
        verdicts: what came out, one sentence per trainer.
        facts: what was compared, and what to know before believing in a difference.
        tables: results, differences, what they save.
        missing: commands of the runs that are not finished.
    """

    title: str
    verdicts: tuple[str, ...]
    facts: tuple[str, ...]
    tables: tuple[Table, ...]
    missing: tuple[str, ...]


def write_up(
    comparison: Comparison,
    rows: Sequence[Row],
    scores: ScoresOfRuns,
    missing: Sequence[str],
    remarks: Sequence[str],
) -> WriteUp:
    """Puts everything into words.

    Args:
        comparison: what is compared.
        rows: as `compare` makes them.
        scores: that they were made from.
        missing: commands of the runs that are not finished.
        remarks: what to know before believing in a difference.
    """
    metric = first_metric(scores)
    by_key = {(r.trainer, r.amount, r.metric, r.label): r for r in rows}
    names = short_names(comparison.trainers)
    tables = [_results(comparison, by_key, names, scores)]
    if len(comparison.trainers) > 1:
        tables.append(_differences(comparison, by_key, names, metric))
    if (savings := _savings(comparison, by_key, names, metric)) is not None:
        tables.append(savings)
    return WriteUp(
        f"{comparison.dataset}, {comparison.configuration}: {metric.name} over number of labels",
        verdicts(comparison, rows, names, metric),
        (*_facts(comparison, scores, len(missing)), *remarks),
        tuple(tables),
        tuple(missing),
    )


def _facts(comparison: Comparison, scores: ScoresOfRuns, num_missing: int) -> list[str]:
    metric = first_metric(scores)
    cases = {case for metrics in scores.values() for case in metrics[metric][MEAN]} - {ALL_CASES}
    trainers = [f"{t} (twin)" if t == comparison.twin else t for t in comparison.trainers]
    facts = [
        f"plans: {comparison.plans}",
        f"trainers: {', '.join(trainers)}",
        f"runs: {len(scores)} of {len(scores) + num_missing} finished"
        f"{INCOMPLETE if num_missing else ''}",
    ]
    return [*facts, f"validation cases: {len(cases)}"] if cases else facts


Rows = Mapping[tuple, Row]


def _results(
    comparison: Comparison, rows: Rows, names: Mapping[str, str], scores: ScoresOfRuns
) -> Table:
    first, *others = labels_by_metric(scores)
    labels = [label for label in labels_by_metric(scores)[first] if label != MEAN]
    labels = labels if len(labels) > 1 else []
    means = {key[:3]: row for key, row in rows.items() if key[3] == MEAN}
    # Distances of what is not there are infinite.
    endless = [m for m in others if any(means[k].spread.num_infinite for k in means if k[2] == m)]
    header = ["cases", "trainer", "runs", first.name, *(f"{first.name} {n}" for n in labels)]
    header += [*(metric.name for metric in others), *(["none"] if endless else [])]
    body = []
    for amount in comparison.amounts:
        for trainer in comparison.trainers:
            mean = means[trainer, amount, first]
            cells = [str(amount), names[trainer], runs_text(mean), with_spread(mean)]
            cells += [
                number_text(rows[trainer, amount, first, n].spread.mean, first) for n in labels
            ]
            cells += [number_text(means[trainer, amount, m].spread.mean, m) for m in others]
            if endless:
                none = means[trainer, amount, endless[0]].spread.num_infinite
                cells.append(str(none) if mean.spread.num_runs else "")
            body.append(tuple(cells))
    of_labels = [row for key, row in rows.items() if key[2] == first and key[3] != MEAN]
    absent = sum(row.spread.num_nan for row in of_labels)
    notes = result_notes((first, *others), bool(labels), bool(endless), absent)
    return Table("Results", tuple(header), tuple(body), notes)


def _differences(
    comparison: Comparison, rows: Rows, names: Mapping[str, str], metric: Metric
) -> Table:
    others = [trainer for trainer in comparison.trainers if trainer != comparison.twin]
    wanted = [(amount, trainer) for amount in comparison.amounts for trainer in others]
    found = {key: rows[key[1], key[0], metric, MEAN] for key in wanted}
    paired = [row.difference for row in found.values() if row.difference is not None]
    # What exists for all cases of a run together has no differences of cases.
    has_cases = not paired or any(pair.num_cases > 1 for pair in paired)
    header = ["cases", "trainer", *(["over cases", "p", "p (Holm)"] if has_cases else [])]
    header += ["over runs", "p (Holm)", "detectable", "better in"]
    body = []
    for (amount, trainer), row in found.items():
        pair, cells = row.difference, [str(amount), names[trainer]]
        if pair is None:
            body.append((*cells, "missing", *[""] * (len(header) - 3)))
            continue
        if has_cases:
            cells += [
                with_interval(pair.mean, pair.case_interval, metric),
                p_text(pair.p_value),
                p_text(row.holm_p),
            ]
        cells += [
            with_interval(pair.run_mean, pair.run_interval, metric),
            p_text(row.run_holm_p),
            number_text(pair.detectable, metric),
            f"{pair.num_better} of {pair.num_runs} runs",
        ]
        body.append(tuple(cells))
    num_tests = sum(row.holm_p is not None for row in found.values())
    return Table(
        f"Difference to {names[comparison.twin]} (mean {metric.title})",
        tuple(header),
        tuple(body),
        difference_notes(metric, paired, has_cases, num_tests),
    )


def _savings(
    comparison: Comparison, rows: Rows, names: Mapping[str, str], metric: Metric
) -> Table | None:
    """None where nothing is paired."""
    paired = [
        row
        for amount in comparison.amounts
        for trainer in comparison.trainers
        if (row := rows[trainer, amount, metric, MEAN]).difference is not None
    ]
    if not paired:
        return None
    has_pace = any(row.pace for row in paired)
    header = ("cases", "trainer", "label efficiency", "epochs to the twin's end")
    body = [
        (str(row.amount), names[row.trainer], efficiency_text(row), str(row.pace or ""))
        for row in paired
    ]
    width = len(header) if has_pace else len(header) - 1
    return Table(
        "Labels and epochs saved",
        header[:width],
        tuple(cells[:width] for cells in body),
        saving_notes(metric, has_pace),
    )
