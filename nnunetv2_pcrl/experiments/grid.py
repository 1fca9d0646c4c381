"""The grid of an experiment: trainers x label folds, and the pretrainings that they need."""

import shlex
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from nnunetv2_pcrl.experiments.planned_run import PlannedRun
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.trainers import Trainer
from nnunetv2_pcrl.label_folds.table import LabelFold, label_folds_among


def choose_label_folds(
    table: Sequence[LabelFold],
    dataset: str,
    cases: Sequence[int] | None = None,
    folds: Sequence[int] | None = None,
    num_repeats: int | None = None,
) -> tuple[LabelFold, ...]:
    """The label folds that are asked for; None takes all that there are.

    Args:
        table: all label folds of the data set.
        dataset: number or name, for the message.
        cases: numbers of labelled cases.
        folds: ordinary folds.
        num_repeats: the first so many repeats.

    Returns:
        In the order in which to run them: a repeat is complete before the next begins.

    Raises:
        ValueError: if some are not in the table, with the command that adds them.
    """
    found = sorted(
        label_folds_among(table, cases, folds, num_repeats),
        key=lambda f: (f.repeat, f.of_fold, f.num_cases),
    )
    repeats = None if num_repeats is None else range(num_repeats)
    asked_for: list[Sequence[int | None]] = [values or [None] for values in (cases, folds, repeats)]
    missing = [
        (number, fold, repeat)
        for number, fold, repeat in product(*asked_for)
        if not any(
            number in (None, f.num_cases)
            and fold in (None, f.of_fold)
            and repeat in (None, f.repeat)
            for f in found
        )
    ]
    if missing:
        raise ValueError(_how_to_add(missing, table, dataset, cases, folds, num_repeats))
    return tuple(found)


def _how_to_add(
    missing: Sequence[tuple],
    table: Sequence[LabelFold],
    dataset: str,
    cases: Sequence[int] | None,
    folds: Sequence[int] | None,
    num_repeats: int | None,
) -> str:
    if not table:
        problem = "The data set has no label folds"
    else:
        names = ("cases", "of fold", "repeat")
        first = ", ".join(
            f"{n} {v}" for n, v in zip(names, missing[0], strict=True) if v is not None
        )
        problem = f"Label folds that are asked for do not exist ({len(missing)}, first: {first})"
    wanted = {
        "cases": cases or sorted({f.num_cases for f in table}) or [5, 10, 20],
        "folds": folds or sorted({f.of_fold for f in table}) or [0],
        "repeats": [num_repeats or max((f.repeat + 1 for f in table), default=3)],
    }
    options = " ".join(f"--{name} {' '.join(map(str, values))}" for name, values in wanted.items())
    return (
        f"{problem}. Add them with\n  nnUNetv2_pcrl_label_folds -d {shlex.quote(dataset)} {options}"
    )


def build_grid(
    trainers: Sequence[Trainer],
    label_folds: Sequence[LabelFold],
    plans: str,
    configuration: str,
    seed_by_fold: bool = False,
    weights: Path | None = None,
) -> tuple[PlannedRun, ...]:
    """All trainings of the experiment; a pretraining comes right before the first that needs it.

    Args:
        trainers: with their full names.
        label_folds: on each of which all of them train.
        plans, configuration: as in the names of result folders.
        seed_by_fold: whether trainers that take a seed get the number of the label fold.
        weights: file that pretrained trainers start from; None gives each its own pretraining.
    """
    grid: dict[PlannedRun, None] = {}
    for part, trainer in product(label_folds, trainers):
        weights_of = None
        if trainer.pretraining is not None and weights is None:
            # The ordinary fold validates on the same cases as the label fold.
            fold = "all" if trainer.transductive else part.of_fold
            weights_of = TrainingRun(trainer.pretraining, plans, configuration, fold)
            grid.setdefault(PlannedRun(weights_of))
        name = trainer.name_with(part.fold) if seed_by_fold else trainer.name
        run = TrainingRun(name, plans, configuration, part.fold)
        given = weights if trainer.pretraining is not None else None
        grid.setdefault(PlannedRun(run, weights_of, part, given))
    return tuple(grid)
