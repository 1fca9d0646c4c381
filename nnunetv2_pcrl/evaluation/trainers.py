"""Which trainers are compared, with which twin, and how they are called in a picture."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from nnunetv2_pcrl.experiments.runs import Run
from nnunetv2_pcrl.label_folds.table import LabelFold


def trainers_with_results(
    dataset_results: Path, plans: str, configuration: str, folds: Iterable[LabelFold]
) -> list[str]:
    """Trainers of which at least one of the label folds is trained and validated, by name."""
    ending = f"__{plans}__{configuration}"
    names = sorted(
        path.name.removesuffix(ending)
        for path in dataset_results.glob(f"*{ending}")
        if path.is_dir()
    )
    numbers = [fold.fold for fold in folds]
    return [
        name
        for name in names
        if any(Run(name, plans, configuration, n).is_validated(dataset_results) for n in numbers)
    ]


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
