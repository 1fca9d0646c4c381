"""What the compared trainings had that others had not: epochs, and images seen before."""

from collections.abc import Mapping
from pathlib import Path

from nnunetv2_pcrl.evaluation.comparison import Experiment
from nnunetv2_pcrl.experiments.runs import Run


def remarks_on(
    experiment: Experiment, epochs: Mapping[Run, int], weights: Mapping[Run, Path]
) -> list[str]:
    """What a reader has to know before he believes in a difference.

    Args:
        experiment: what is compared.
        epochs: of the finished runs, as far as they are known.
        weights: files that runs started from, of those that say so.
    """
    remarks = _on_lengths(experiment, epochs)
    of_fold = {fold.fold: fold.of_fold for amount in experiment.amounts for fold in amount.folds}
    for trainer in experiment.trainers:
        own = {run: path for run, path in weights.items() if run.trainer == trainer}
        if not own:
            continue
        names = sorted({_name(path, experiment.dataset) for path in own.values()})
        text = f"{trainer} started from {', '.join(names)}"
        seen = sum(_has_seen(path, run, experiment.dataset, of_fold) for run, path in own.items())
        if seen:
            text += (
                f"; WARNING: in {seen} of {len(own)} runs this pretraining had the images (not the "
                f"labels) that are validated on"
            )
        remarks.append(text)
    return remarks


def _on_lengths(experiment: Experiment, epochs: Mapping[Run, int]) -> list[str]:
    lengths = {
        trainer: sorted({number for run, number in epochs.items() if run.trainer == trainer})
        for trainer in experiment.trainers
        if any(run.trainer == trainer for run in epochs)
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


def _is_of(dataset: str, path: Path) -> bool:
    """Whether weights are a result of nnU-Net on that data set: DATASET/TRAINER/fold_N/FILE."""
    return len(path.parts) > 3 and path.parts[-4] == dataset


def _name(path: Path, dataset: str) -> str:
    return "/".join(path.parts[-3:-1]) if _is_of(dataset, path) else str(path)


def _has_seen(path: Path, run: Run, dataset: str, of_fold: Mapping[int, int]) -> bool:
    """Whether a pretraining of that fold trains on what the run validates on."""
    if not _is_of(dataset, path):
        return False
    number = path.parts[-2].removeprefix("fold_")
    if not number.isdecimal():
        return True
    return of_fold.get(int(number), int(number)) != of_fold[run.fold]
