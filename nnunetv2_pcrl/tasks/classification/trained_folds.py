"""The trained folds of a classification whose probabilities are averaged."""

from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.tasks.classification.checkpoint import TrainedClassifier, read_classifier
from nnunetv2_pcrl.tasks.classification.raw_prediction import check_folds_agree


def read_folds(
    folder: Path, numbers: Sequence[str], checkpoint: str
) -> dict[Path, TrainedClassifier]:
    """Checkpoints of the folds of a classification, by path.

    Args:
        folder: of the classification in the results of its data set.
        numbers: of the folds.
        checkpoint: name of the files.

    Raises:
        ValueError: if one is missing, or if they differ in classes or inputs.
    """
    paths = [folder / f"fold_{number}" / checkpoint for number in dict.fromkeys(numbers)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        there = sorted(path.parent.name for path in folder.glob(f"fold_*/{checkpoint}"))
        others = sorted(path.name for path in folder.parent.glob("*Classification*"))
        raise ValueError(
            f"There is no {missing[0]}. Folds with that checkpoint: {', '.join(there) or 'none'}; "
            f"classifications of {folder.parent.name}: {', '.join(others) or 'none'}. Choose by "
            f"-f, -tr, -p and -c, or train it."
        )
    folds = {path: read_classifier(path) for path in paths}
    check_folds_agree(folds)
    return folds
