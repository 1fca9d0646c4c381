"""What the compared trainings had that others had not: epochs, devices, and images seen before."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from nnunetv2_pcrl.evaluation.comparison import Comparison
from nnunetv2_pcrl.evaluation.origin import Origin
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.seeds import split_seed

Origins = Mapping[TrainingRun, Origin]


def provenance_remarks(comparison: Comparison, origins: Origins) -> list[str]:
    """What a reader has to know before he believes in a difference.

    Args:
        comparison: what is compared.
        origins: of the finished runs.
    """
    by_trainer = {trainer: _of_trainer(trainer, origins) for trainer in comparison.trainers}
    remarks = [*_on_lengths(by_trainer), *_on_devices(comparison, origins)]
    of_fold = _ordinary_folds(comparison)
    for trainer, own in by_trainer.items():
        files = {run: origin.weights for run, origin in own.items() if origin.weights}
        if not files:
            continue
        names = sorted({_name(path, comparison.dataset) for path in files.values()})
        text = f"{trainer} started from {', '.join(names)}"
        if not all(_is_of(comparison.dataset, path) for path in files.values()):
            text += "; whether it had images that are validated on is not known"
        seen = sum(_has_seen(path, run, comparison.dataset, of_fold) for run, path in files.items())
        if seen:
            text += (
                f"; WARNING: in {seen} of {len(files)} runs this pretraining had the images (not "
                f"the labels) that are validated on"
            )
        warnings = Counter(warning for run in files for warning in own[run].warnings)
        for warning, count in warnings.items():
            text += (
                f"; in {count} of {len(files)} runs the report of what was loaded says {warning}"
            )
        remarks.append(text)
    return remarks


def weights_for(run: TrainingRun, comparison: Comparison, origins: Origins) -> Path | None:
    """The weights that a run would have to start from to belong to its trainer's finished ones.

    Those of another data set are for all folds, those of the data set itself for one of them.

    Args:
        run: that is not finished.
        comparison: what is compared.
        origins: of the finished runs.

    Returns:
        None where the finished runs do not say, or say several.
    """
    of_fold = _ordinary_folds(comparison)
    found = {
        origin.weights
        for other, origin in _of_trainer(_trainer_of(run), origins).items()
        if origin.weights is not None
        and (
            of_fold[other.fold] == of_fold[run.fold]
            or not _is_of(comparison.dataset, origin.weights)
        )
    }
    return found.pop() if len(found) == 1 else None


def _of_trainer(trainer: str, origins: Origins) -> Origins:
    return {run: origin for run, origin in origins.items() if _trainer_of(run) == trainer}


def _ordinary_folds(comparison: Comparison) -> dict[int | str, int]:
    return {fold.fold: fold.of_fold for amount in comparison.amounts for fold in amount.folds}


def _on_lengths(by_trainer: Mapping[str, Origins]) -> list[str]:
    found = {
        trainer: sorted({origin.epochs for origin in own.values() if origin.epochs is not None})
        for trainer, own in by_trainer.items()
    }
    lengths = {trainer: numbers for trainer, numbers in found.items() if numbers}
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


def _on_devices(comparison: Comparison, origins: Origins) -> list[str]:
    """Pairs whose difference holds that of two devices besides."""
    remarks = []
    for trainer in (name for name in comparison.trainers if name != comparison.twin):
        pairs = Counter(
            (origins[run].device, origins[twin].device)
            for amount in comparison.amounts
            for run, twin in comparison.pairs_with(trainer, amount)
            if run in origins and twin in origins
        )
        apart = {(a, b): n for (a, b), n in pairs.items() if None not in (a, b) and a != b}
        if apart:
            listed = ", ".join(f"{count} on {a} and {b}" for (a, b), count in apart.items())
            remarks.append(
                f"WARNING: {trainer} and {comparison.twin} were trained on different devices in "
                f"{sum(apart.values())} of {pairs.total()} pairs ({listed}); their arithmetic "
                f"is not the same, so these differences hold that of the devices too"
            )
    return remarks


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
