"""Several data sets in one table, each by the metric of its task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nnunetv2_pcrl.evaluation.cells import runs_text, with_interval, with_spread
from nnunetv2_pcrl.evaluation.comparing import Outcome, write_text
from nnunetv2_pcrl.evaluation.comparison import Row
from nnunetv2_pcrl.evaluation.markdown import as_markdown
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric
from nnunetv2_pcrl.evaluation.page import as_page
from nnunetv2_pcrl.evaluation.tables import write_data_sets
from nnunetv2_pcrl.evaluation.trainers import short_names
from nnunetv2_pcrl.evaluation.write_up import Table, WriteUp

NOTES = (
    "Each cell: the mean over validation cases and runs +- the standard deviation over the runs; "
    "in brackets the paired difference to the twin of the data set over the runs, with its 95 % "
    "interval where there are two pairs or more. Runs are counted where some are missing.",
    "Data sets are not averaged: their metrics differ, and so does what a difference means.",
)


def write_data_sets_files(
    outcomes: Sequence[Outcome], unread: Mapping[str, str], output: Path
) -> tuple[WriteUp, tuple[Path, ...]]:
    """Writes the comparisons of several data sets as one: comparison.md, .html and .csv.

    Args:
        outcomes: one per data set, whose files lie in folders below `output`, at least one.
        unread: why data sets are missing, by name.
        output: folder, which exists.

    Returns:
        What is said, and the paths written.
    """
    content = write_up_data_sets(outcomes, unread)
    paths = tuple(output / f"comparison.{ending}" for ending in ("md", "html", "csv"))
    write_text(paths[0], as_markdown(content))
    write_text(paths[1], as_page(content, ()))
    write_data_sets(paths[2], [(o.comparison, row) for o in outcomes for row in o.rows])
    return content, paths


def write_up_data_sets(outcomes: Sequence[Outcome], unread: Mapping[str, str]) -> WriteUp:
    """Puts the comparisons of several data sets into words and one table.

    Args:
        outcomes: one per data set.
        unread: why data sets are missing, by name.
    """
    comparisons = [outcome.comparison for outcome in outcomes]
    names = short_names(list(dict.fromkeys(t for c in comparisons for t in c.trainers)))
    twins = {comparison.twin for comparison in comparisons}
    header = ["data set", "metric", "cases"]
    header += [f"{name} (twin)" if full in twins else name for full, name in names.items()]
    body = [row for outcome in outcomes for row in _body(outcome, names)]
    facts = [
        f"{c.dataset}: plans {c.plans}, twin {c.twin}; all about it: {c.dataset}/comparison.html"
        for c in comparisons
    ]
    facts += [f"WARNING: {name} is missing: {reason}" for name, reason in unread.items()]
    of_all = f" of {len(outcomes) + len(unread)}" if unread else ""
    return WriteUp(
        f"{len(outcomes)}{of_all} data sets, {comparisons[0].configuration}",
        tuple(f"{o.comparison.dataset}: {said}" for o in outcomes for said in o.content.verdicts),
        tuple(facts),
        (Table("All data sets", tuple(header), tuple(body), NOTES),),
        tuple(command for outcome in outcomes for command in outcome.content.missing),
    )


def _body(outcome: Outcome, names: Mapping[str, str]) -> list[tuple[str, ...]]:
    comparison, metric = outcome.comparison, outcome.rows[0].metric
    found = {
        (row.trainer, row.amount): row
        for row in outcome.rows
        if (row.metric, row.label) == (metric, MEAN)
    }
    return [
        (
            comparison.dataset,
            metric.title,
            str(amount),
            *(_cell(found.get((trainer, amount)), metric) for trainer in names),
        )
        for amount in comparison.amounts
    ]


def _cell(row: Row | None, metric: Metric) -> str:
    """Empty for a trainer of another task."""
    if row is None:
        return ""
    text = with_spread(row)
    if row.difference is not None:
        pair = row.difference
        text += f" ({with_interval(pair.run_mean, pair.run_interval, metric)})"
    is_whole = row.spread.num_runs in (0, row.planned_runs)
    return text if is_whole else f"{text}, {runs_text(row)}"
