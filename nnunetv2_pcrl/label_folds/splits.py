"""nnU-Net's splits_final.json: read, or made as nnU-Net makes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2.utilities.crossval_split import generate_crossval_split

from nnunetv2_pcrl.datasets.raw import read_any_json
from nnunetv2_pcrl.label_folds.presence import labelled_cases

SPLITS_NAME = "splits_final.json"
# As in nnUNetTrainer.do_split.
NUM_FOLDS, SPLITS_SEED = 5, 12345

# One entry of the file: identifiers under "train" and "val".
Split = Mapping[str, list[str]]


def read_splits(preprocessed: Path) -> list[Split] | None:
    """The folds of splits_final.json; None if there is no such file.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.

    Raises:
        ValueError: if the file is not what nnU-Net reads.
    """
    path = preprocessed / SPLITS_NAME
    if not path.is_file():
        return None
    splits = read_any_json(path)
    if not isinstance(splits, list) or not all(_is_split(split) for split in splits):
        raise ValueError(
            f'{path} must be a list of folds {{"train": [cases], "val": [cases]}}. Restore it, or '
            f"delete it, and nnU-Net's own is made."
        )
    return splits


def _is_split(split: Any) -> bool:
    return isinstance(split, dict) and all(
        isinstance(split.get(part), list) and all(isinstance(case, str) for case in split[part])
        for part in ("train", "val")
    )


def make_splits(preprocessed: Path) -> list[Split]:
    """The five folds that nnU-Net would write at the first training.

    Raises:
        ValueError: if there are too few cases, or if not all are preprocessed.
    """
    cases = labelled_cases(preprocessed)
    if len(cases) < NUM_FOLDS:
        raise ValueError(
            f"{NUM_FOLDS} folds need at least {NUM_FOLDS} cases, {preprocessed.name} has "
            f"{len(cases)}. Write your own {SPLITS_NAME} into {preprocessed}."
        )
    # nnU-Net splits what the trained configuration has: an unfinished one would give other folds.
    preprocessed_cases = {
        folder.name: sorted(path.stem for path in folder.glob("*.pkl"))
        for folder in sorted(preprocessed.iterdir())
    }
    if cases not in preprocessed_cases.values():
        numbers = ", ".join(f"{n} {len(found)}" for n, found in preprocessed_cases.items() if found)
        raise ValueError(
            f"{preprocessed.name} has labels of {len(cases)} cases, but no configuration has just "
            f"these preprocessed ({numbers or 'none is there'}). Run nnUNetv2_plan_and_preprocess."
        )
    return generate_crossval_split(cases, seed=SPLITS_SEED, n_splits=NUM_FOLDS)
