"""comparison.md: the tables that a person reads, and what their columns mean."""

import math
from collections.abc import Mapping, Sequence

from nnunetv2_pcrl.evaluation.comparison import Experiment, Row, ScoresOfRuns
from nnunetv2_pcrl.evaluation.scores import AVERAGE_DISTANCE, DICE, HAUSDORFF, MEAN
from nnunetv2_pcrl.evaluation.trainers import short_names

INCOMPLETE = """; while some are missing, only the differences are of the same runs and cases on
  both sides: means of different rows, and the curve behind the label efficiency, may not be"""
RESULTS_NOTE = """\
- Dice and distances: mean over the validation cases of the mean over the runs; +- is the standard
  deviation over the runs of their mean Dice. {mean}"""
DISTANCES_NOTE = """\
- HD95: 95 % Hausdorff distance, ASSD: average symmetric surface distance, in mm (in voxels where
  files hold no spacing, as PNG and TIFF), where every label of the case has one; none: values of
  runs and cases without, because a label was missed altogether or found where it is not. They are
  left out of the means, which flatters who misses most."""
ABSENT_NOTE = """\
- {count} Dice values of single runs, cases and labels are left out, because the label is in neither
  reference nor prediction."""
DIFFERENCES_NOTE = """\
- Only label folds that both trainers have finished, and cases in which both have a value.
- over cases: mean difference, and its 95 % bootstrap interval over the validation cases; p:
  Wilcoxon's signed-rank test over them; p (Holm): adjusted for the {num_tests} tests of this table.
  They hold for these very trainings: two that differ by chance alone can have p < 0.001. With
  fewer than about ten cases the interval is too narrow.
- over runs: mean difference, and its 95 % t-interval over the runs, paired by label fold; better
  in: runs with the higher Dice. They include the chance of the training and of the choice of
  labelled cases, but not that of the pretraining, which the runs of a fold share, as they share
  their validation cases: believe what both say, for this pretraining.
- label efficiency: labelled cases that the twin needs for the same Dice, divided by those used, at
  the difference and at both ends of its interval over the runs. The twin's curve is held fixed,
  made to rise, and linear in the logarithm of the number of cases; >= and <= where it does not
  reach that far."""

MISSING_TEXT = """\
## Missing runs

{count} runs are not finished. nnUNetv2_pcrl_experiment runs them, and the pretrainings that they
need; by hand, unless one of them is running now:

```
{commands}
```"""


def write_up(
    experiment: Experiment,
    rows: Sequence[Row],
    scores: ScoresOfRuns,
    missing: Sequence[str],
    remarks: Sequence[str],
) -> str:
    """The Markdown text.

    Args:
        experiment: what is compared.
        rows: as `compare` makes them.
        scores: that they were made from.
        missing: commands of the runs that are not finished.
        remarks: what to know before believing in a difference.
    """
    by_key = {(r.trainer, r.amount, r.metric, r.label): r for r in rows}
    names = short_names(experiment.trainers)
    head = [_header(experiment, scores, len(missing)), *(f"- {remark}" for remark in remarks)]
    parts = ["\n".join(head), *_results(experiment, by_key, names)]
    parts += _differences(experiment, by_key, names)
    if missing:
        parts += [MISSING_TEXT.format(count=len(missing), commands="\n".join(missing))]
    return "\n\n".join(parts) + "\n"


def _header(experiment: Experiment, scores: ScoresOfRuns, num_missing: int) -> str:
    cases = {case for metrics in scores.values() for case in metrics[DICE][MEAN]}
    trainers = [f"{t} (twin)" if t == experiment.twin else t for t in experiment.trainers]
    return (
        f"# {experiment.dataset}, {experiment.configuration}: Dice over number of labels\n\n"
        f"- plans: {experiment.plans}\n- trainers: {', '.join(trainers)}\n"
        f"- runs: {len(scores)} of {len(scores) + num_missing} finished"
        f"{INCOMPLETE if num_missing else ''}\n"
        f"- validation cases: {len(cases)}"
    )


Rows = Mapping[tuple, Row]


def _results(experiment: Experiment, rows: Rows, names: Mapping[str, str]) -> list[str]:
    labels = [r.label for r in rows.values() if r.metric == DICE and r.label != MEAN]
    labels = list(dict.fromkeys(labels)) if len(set(labels)) > 1 else []
    with_surfaces = any(row.metric == HAUSDORFF for row in rows.values())
    header = ["cases", "trainer", "runs", "Dice", *(f"Dice {label}" for label in labels)]
    header += ["HD95", "ASSD", "none"] if with_surfaces else []
    body = []
    for amount in experiment.amounts:
        for trainer in experiment.trainers:
            mean = rows[trainer, amount, DICE, MEAN]
            cells = [str(amount), names[trainer], _runs(mean), _with_spread(mean)]
            cells += [_number(rows[trainer, amount, DICE, n].spread.mean) for n in labels]
            if with_surfaces:
                distances = [rows[trainer, amount, m, MEAN] for m in (HAUSDORFF, AVERAGE_DISTANCE)]
                cells += [_number(row.spread.mean, 2) for row in distances]
                cells.append(str(distances[0].spread.num_infinite) if mean.spread.num_runs else "")
            body.append(cells)
    mean_note = "Each is the mean of the labels." if labels else ""
    notes = [RESULTS_NOTE.format(mean=mean_note).rstrip()]
    notes += [DISTANCES_NOTE] if with_surfaces else []
    dice = [r for r in rows.values() if r.metric == DICE and r.label != MEAN]
    absent = sum(row.spread.num_nan for row in dice)
    notes += [ABSENT_NOTE.format(count=absent)] if absent else []
    return ["## Results", _table(header, body), "\n".join(notes)]


def _differences(experiment: Experiment, rows: Rows, names: Mapping[str, str]) -> list[str]:
    others = [trainer for trainer in experiment.trainers if trainer != experiment.twin]
    if not others:
        return []
    header = ["cases", "trainer", "over cases", "p", "p (Holm)", "over runs", "better in"]
    header.append("label efficiency")
    body, num_tests = [], 0
    for amount in experiment.amounts:
        for trainer in others:
            row = rows[trainer, amount, DICE, MEAN]
            found = row.difference
            if found is None:
                body.append([str(amount), names[trainer], "missing", *[""] * 5])
                continue
            num_tests += 1
            body.append(
                [
                    str(amount),
                    names[trainer],
                    _with_interval(found.mean, found.case_interval),
                    _p(found.p_value),
                    _p(row.holm_p),
                    _with_interval(found.run_mean, found.run_interval),
                    f"{found.num_better} of {found.num_runs} runs",
                    _efficiency(row),
                ]
            )
    return [
        f"## Difference to {names[experiment.twin]} (mean Dice)",
        _table(header, body),
        DIFFERENCES_NOTE.format(num_tests=num_tests),
    ]


def _runs(row: Row) -> str:
    done = row.spread.num_runs
    return str(done) if done == row.planned_runs else f"{done} of {row.planned_runs} runs"


def _with_spread(row: Row) -> str:
    if not row.spread.num_runs:
        return "missing"
    if math.isnan(row.spread.run_std):
        return _number(row.spread.mean)
    return f"{_number(row.spread.mean)} +- {_number(row.spread.run_std)}"


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{value:+.3f}" if math.isnan(low) else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _efficiency(row: Row) -> str:
    if row.efficiency_interval is None:
        return str(row.efficiency)
    low, high = row.efficiency_interval
    return f"{row.efficiency} [{low}, {high}]"


def _number(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    # A label may have any name; a bar would begin another column.
    header = [cell.replace("|", "\\|") for cell in header]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (header, rule, *body)
    )
