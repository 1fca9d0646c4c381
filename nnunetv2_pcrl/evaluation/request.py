"""From what a person asks for to what is compared: trainers, twin, seeds, numbers of labels."""

from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.evaluation.amounts import Amount, amounts_of
from nnunetv2_pcrl.evaluation.comparison import Comparison
from nnunetv2_pcrl.evaluation.trainers import choose_twin, seeded_runs, trainers_with_results
from nnunetv2_pcrl.experiments.data_set_tasks import task_of, trainers_for
from nnunetv2_pcrl.experiments.seeds import split_seed
from nnunetv2_pcrl.label_folds.table import (
    TABLE_NAME,
    LabelFold,
    label_folds_among,
    read_label_folds,
)


def find_comparison(
    preprocessed: Path,
    dataset_results: Path,
    plans: str,
    configuration: str,
    trainers: Sequence[str] | None = None,
    twin: str | None = None,
    cases: Sequence[int] | None = None,
    of_folds: Sequence[int] | None = None,
    num_repeats: int | None = None,
) -> Comparison:
    """What is to be compared.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        dataset_results: its folder in nnUNet_results.
        plans: name.
        configuration: name.
        trainers: class names, whose seeds do not count; None for all of one task that have
            results.
        twin: the one to compare with; None chooses one that starts from scratch, and so does one of
            another task than the results that are found.
        cases: numbers of labelled cases; None for all.
        of_folds: ordinary folds; None for all.
        num_repeats: the first so many repeats; None for all.

    Raises:
        ValueError: if there are no label folds or no results, or none of what is asked for.
    """
    table = read_label_folds(preprocessed)
    if not table:
        raise ValueError(
            f"There is no {preprocessed / TABLE_NAME}: make label folds with "
            f"nnUNetv2_pcrl_label_folds -d {preprocessed.name}, and train on them."
        )
    amounts = _chosen(amounts_of(_asked_for(table, of_folds, num_repeats)), cases)
    folds = tuple(fold for amount in amounts for fold in amount.folds)
    names = [split_seed(name)[0] for name in trainers or ()]
    if not names:
        found = trainers_with_results(dataset_results, plans, configuration, folds)
        names = _of_one_task(found, twin, preprocessed)
        # That of another data set, where several are compared.
        twin = twin if names and twin and task_of(twin) == task_of(names[0]) else None
    if not names:
        raise ValueError(
            f"No trainer has finished one of the {len(folds)} label folds "
            f"({folds[0].fold} to {folds[-1].fold}): there is no "
            f"{dataset_results}/TRAINER__{plans}__{configuration}/fold_N with "
            f"validation/summary.json and checkpoint_final.pth."
        )
    twin = split_seed(twin)[0] if twin else choose_twin(names)
    # Each once, the twin first.
    each = tuple(dict.fromkeys([twin, *names]))
    seeded = seeded_runs(dataset_results, plans, configuration, each, folds)
    return Comparison(preprocessed.name, plans, configuration, each, twin, amounts, seeded)


def _of_one_task(found: Sequence[str], twin: str | None, preprocessed: Path) -> list[str]:
    """Trainers of the twin's task, or of the data set's where there are none of that."""
    same = [name for name in found if twin and task_of(name) == task_of(twin)]
    return same or trainers_for(found, preprocessed)


def _asked_for(
    table: Sequence[LabelFold], of_folds: Sequence[int] | None, num_repeats: int | None
) -> list[LabelFold]:
    known = {fold.of_fold for fold in table}
    unknown = set(of_folds or ()) - known
    if unknown:
        raise ValueError(
            f"There are no label folds of fold {', '.join(map(str, sorted(unknown)))}, only of "
            f"{', '.join(map(str, sorted(known)))}."
        )
    if num_repeats is not None and num_repeats < 1:
        raise ValueError(f"--repeats {num_repeats} leaves no label folds: it counts from 1.")
    return label_folds_among(table, folds=of_folds, num_repeats=num_repeats)


def _chosen(amounts: Sequence[Amount], cases: Sequence[int] | None) -> tuple[Amount, ...]:
    if cases is None:
        return tuple(amounts)
    sizes = {amount: {fold.num_cases for fold in amount.folds} for amount in amounts}
    unknown = set(cases) - set().union(*sizes.values())
    if unknown:
        raise ValueError(
            f"There are no label folds with {', '.join(map(str, sorted(unknown)))} cases, only "
            f"with {', '.join(map(str, amounts))}."
        )
    wanted = set(cases)
    return tuple(
        Amount(tuple(fold for fold in amount.folds if fold.num_cases in wanted))
        for amount in amounts
        if sizes[amount] & wanted
    )
