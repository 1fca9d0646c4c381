"""Which trainers are compared, with which twin and seeds, and how they are called in a picture."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.seeds import split_seed, with_seed
from nnunetv2_pcrl.experiments.trainers import takes_seed
from nnunetv2_pcrl.label_folds.table import LabelFold


def trainers_with_results(
    dataset_results: Path, plans: str, configuration: str, folds: Iterable[LabelFold]
) -> list[str]:
    """Trainers of which at least one of the label folds is trained and validated, without seeds."""
    numbers = [fold.fold for fold in folds]
    found = {
        split_seed(name)[0]
        for name in _class_names(dataset_results, plans, configuration)
        if any(
            TrainingRun(name, plans, configuration, number).is_validated(dataset_results)
            for number in numbers
        )
    }
    return sorted(found)


def seeded_runs(
    dataset_results: Path,
    plans: str,
    configuration: str,
    trainers: Iterable[str],
    folds: Iterable[LabelFold],
) -> dict[tuple[str, int], dict[int | None, str]]:
    """Class names by trainer and label fold, then by seed, of trainers whose names carry seeds.

    Trainers that are paired have the same seeds, so all that one of them has begun on a label fold
    are planned for the others too, also for one that has begun nothing yet but takes a seed. A
    label fold that none has begun with a seed is planned as an experiment does it: with its own
    number as the seed, or with the seeds that all other label folds share.

    Args:
        dataset_results: the data set's folder in nnUNet_results.
        plans: name.
        configuration: name.
        trainers: class names without seeds.
        folds: label folds.
    """
    trainers, folds = list(trainers), list(folds)
    begun = _begun(dataset_results, plans, configuration, trainers, folds)
    seeds_of: dict[int, set[int]] = {}
    for (_, number), names in begun.items():
        seeds_of.setdefault(number, set()).update(seed for seed in names if seed is not None)
    seeds_of = {number: seeds for number, seeds in seeds_of.items() if seeds}
    if not seeds_of:
        return {}
    shared: set[int] = set()
    # An experiment with --seeds; otherwise each label fold has its own.
    if set.intersection(*seeds_of.values()):
        shared = {seed for number, seeds in seeds_of.items() for seed in seeds if seed != number}
    with_begun = {trainer for trainer, _ in begun}
    with_seeds = [
        trainer
        for trainer in trainers
        if any(set(begun.get((trainer, fold.fold), ())) - {None} for fold in folds)
        or (trainer not in with_begun and takes_seed(trainer))
    ]
    planned: dict[tuple[str, int], dict[int | None, str]] = {}
    for fold in folds:
        seeds = seeds_of.get(fold.fold) or shared or {fold.fold}
        for trainer in with_seeds:
            expected: dict[int | None, str] = {
                seed: with_seed(trainer, seed) for seed in sorted(seeds)
            }
            planned[trainer, fold.fold] = {**expected, **begun.get((trainer, fold.fold), {})}
    return planned


def _begun(
    dataset_results: Path,
    plans: str,
    configuration: str,
    trainers: Sequence[str],
    folds: Sequence[LabelFold],
) -> dict[tuple[str, int], dict[int | None, str]]:
    """Class names of the runs that have a result folder, by trainer and label fold, then seed."""
    begun: dict[tuple[str, int], dict[int | None, str]] = {}
    for name in _class_names(dataset_results, plans, configuration):
        trainer, seed = split_seed(name)
        for fold in folds:
            run = TrainingRun(name, plans, configuration, fold.fold)
            if trainer in trainers and run.folder(dataset_results).is_dir():
                begun.setdefault((trainer, fold.fold), {})[seed] = name
    return begun


def _class_names(dataset_results: Path, plans: str, configuration: str) -> list[str]:
    """Of all trainers that have a result folder."""
    ending = f"__{plans}__{configuration}"
    return sorted(
        path.name.removesuffix(ending)
        for path in dataset_results.glob(f"*{ending}")
        if path.is_dir()
    )


def choose_twin(trainers: Sequence[str]) -> str:
    """The trainer that the others are compared with: the same network from scratch.

    Raises:
        ValueError: if no name says so.
    """
    scratch = [name for name in trainers if "fromScratch" in name]
    stock = [name for name in trainers if name.startswith("nnUNetTrainer")]
    if not scratch and not stock:
        raise ValueError(
            f"None of the trainers {', '.join(trainers)} is known to start from scratch (a name "
            f"with fromScratch in it, or nnUNetTrainer...). Name the one to compare with: --twin."
        )
    return (scratch or stock)[0]


def short_names(trainers: Sequence[str]) -> dict[str, str]:
    """Names without the parts that all of them have, such as _100epochs."""
    parts = {name: name.split("_") for name in trainers}
    shared = set.intersection(*(set(p[1:]) for p in parts.values()))
    short = {
        name: "_".join([p[0], *(q for q in p[1:] if q not in shared)]) for name, p in parts.items()
    }
    if len(set(short.values())) < len(trainers):
        return {name: name for name in trainers}
    return short
