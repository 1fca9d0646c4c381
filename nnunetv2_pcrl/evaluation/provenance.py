"""What the compared trainings had that others had not: epochs, and images seen before."""

from collections.abc import Mapping
from pathlib import Path

from nnunetv2_pcrl.evaluation.comparison import Comparison
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.seeds import split_seed


def provenance_remarks(
    comparison: Comparison, epochs: Mapping[TrainingRun, int], weights: Mapping[TrainingRun, Path]
) -> list[str]:
    """What a reader has to know before he believes in a difference.

    Args:
        comparison: what is compared.
        epochs: of the finished runs, as far as they are known.
        weights: files that runs started from, of those that say so.
    """
    remarks = _on_lengths(comparison, epochs)
    of_fold: dict[int | str, int] = {
        fold.fold: fold.of_fold for amount in comparison.amounts for fold in amount.folds
    }
    for trainer in comparison.trainers:
        own = {run: path for run, path in weights.items() if _trainer_of(run) == trainer}
        if not own:
            continue
        names = sorted({_name(path, comparison.dataset) for path in own.values()})
        text = f"{trainer} started from {', '.join(names)}"
        seen = sum(_has_seen(path, run, comparison.dataset, of_fold) for run, path in own.items())
        if seen:
            text += (
                f"; WARNING: in {seen} of {len(own)} runs this pretraining had the images (not the "
                f"labels) that are validated on"
            )
        remarks.append(text)
    return remarks


def _on_lengths(comparison: Comparison, epochs: Mapping[TrainingRun, int]) -> list[str]:
    lengths = {
        trainer: sorted({number for run, number in epochs.items() if _trainer_of(run) == trainer})
        for trainer in comparison.trainers
        if any(_trainer_of(run) == trainer for run in epochs)
    }
    different = set().union(*lengths.values())
    if len(different) < 2:
        return [f"epochs of every training: {number}" for number in different]
    listed = "; ".join(
        f"{trainer} {', '.join(map(str, numbers))}" for trainer, numbers in lengths.items()
    )
    return [
        f"WARNING: the trainings differ in their numbers of epochs ({listed}), so a difference "
        f"between them may come from that alone"
    ]


def _trainer_of(run: TrainingRun) -> str:
    return split_seed(run.trainer)[0]


def _is_of(dataset: str, path: Path) -> bool:
    """Whether weights are a result of nnU-Net on that data set: DATASET/TRAINER/fold_N/FILE."""
    return len(path.parts) > 3 and path.parts[-4] == dataset


def _name(path: Path, dataset: str) -> str:
    return "/".join(path.parts[-3:-1]) if _is_of(dataset, path) else str(path)


def _has_seen(path: Path, run: TrainingRun, dataset: str, of_fold: Mapping[int | str, int]) -> bool:
    """Whether a pretraining of that fold trains on what the run validates on."""
    if not _is_of(dataset, path):
        return False
    number = path.parts[-2].removeprefix("fold_")
    if not number.isdecimal():
        return True
    return of_fold.get(int(number), int(number)) != of_fold[run.fold]
