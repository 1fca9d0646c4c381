"""Writes splits_final.json for results/balance: a part of fold 0's cases, and 8 draws of 5 of them.

    python results/balance/splits.py

Each data set's own splits_final.json, made by nnU-Net or with patients apart, is read from
nnUNet_preprocessed and replaced there; a copy that is there already is read instead. Fold 0 keeps
its validation cases and so many of its training patients; folds 5 to 12 train on 5 of the cases
that are left, of 5 patients. The pool of both, where it is preprocessed, gets the same cases.
"""

import json
import random
import shutil
from pathlib import Path

from nnunetv2.paths import nnUNet_preprocessed

PARTS = {"Dataset004_Hippocampus": 0.5, "Dataset103_ACDC": 0.65}
POOL = "Dataset190_MRPool"
NUM_DRAWS, NUM_CASES = 8, 5


def patient_of(case: str) -> str:
    """ACDC has two frames of each patient."""
    return case.split("_frame")[0]


def splits_of(training: list[str], validation: list[str], part: float) -> list[dict]:
    """Five equal folds as nnU-Net has five, and the draws."""
    patients = sorted({patient_of(case) for case in training})
    random.Random(0).shuffle(patients)
    kept = patients[: round(part * len(patients))]
    left = [case for case in training if patient_of(case) in kept]
    splits = [{"train": left, "val": validation}] * 5
    for draw in range(NUM_DRAWS):
        chance = random.Random(1 + draw)
        drawn = chance.sample(sorted(kept), NUM_CASES)
        cases = [chance.choice([c for c in left if patient_of(c) == patient]) for patient in drawn]
        splits.append({"train": sorted(cases), "val": validation})
    return splits


def pooled(folds: dict[str, dict]) -> list[dict]:
    """Five equal folds of the pool, which names its cases 004_hippocampus_001."""
    together: dict[str, list[str]] = {"train": [], "val": []}
    for name, fold in folds.items():
        prefix = name.removeprefix("Dataset")[:3]
        for part, cases in together.items():
            cases += [f"{prefix}_{case}" for case in fold[part]]
    return [together] * 5


def main() -> None:
    """Writes the files."""
    folds = {}
    for name, part in PARTS.items():
        path = Path(nnUNet_preprocessed) / name / "splits_final.json"
        original = path.with_name("splits_original.json")
        if not original.is_file():
            shutil.copy(path, original)
        fold = json.loads(original.read_text(encoding="utf-8"))[0]
        splits = splits_of(fold["train"], fold["val"], part)
        path.write_text(json.dumps(splits, indent=4), encoding="utf-8")
        print(f"{path}: {len(splits[0]['train'])} of {len(fold['train'])} training cases")
        folds[name] = splits[0]
    pool = Path(nnUNet_preprocessed) / POOL
    if pool.is_dir():
        text = json.dumps(pooled(folds), indent=4)
        (pool / "splits_final.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
