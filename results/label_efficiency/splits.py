"""Thins the validation cases whose neighbours are alike or whose prediction takes long.

    python results/label_efficiency/splits.py

splits_final.json of LGG and of ACDC, with patients apart, is read from nnUNet_preprocessed and
replaced there; run twice it changes nothing. The pool of all MR sets, where it is preprocessed,
gets the training and validation cases of their folds 0, of LGG's training slices every tenth: all
of them would be nine tenths of the pool.
"""

import json
from pathlib import Path

from nnunetv2.paths import nnUNet_preprocessed


def slice_number(case: str) -> int:
    """It stands at the end: LGG_CS_4941_s012."""
    return int(case.rsplit("_s", 1)[1])


def every_fourth_slice(case: str) -> bool:
    """By its number."""
    return slice_number(case) % 4 == 0


def every_second_patient(case: str) -> bool:
    """By the number, with both frames: patient004_frame01."""
    return int(case.split("_frame")[0].removeprefix("patient")) % 2 == 0


LGG, ACDC = "Dataset101_LGGFlair2D", "Dataset103_ACDC"
MR_NAMES, POOL = ("Dataset004_Hippocampus", LGG, ACDC), "Dataset191_AllMR"
KEPT = {LGG: every_fourth_slice, ACDC: every_second_patient}


def every_tenth_slice(case: str) -> bool:
    """By its number."""
    return slice_number(case) % 10 == 0


def pooled(root: Path) -> list[dict]:
    """Five equal folds of the pool, which names its cases 004_hippocampus_001."""
    together: dict[str, list[str]] = {"train": [], "val": []}
    for name in MR_NAMES:
        fold = json.loads((root / name / "splits_final.json").read_text(encoding="utf-8"))[0]
        if name == LGG:
            fold["train"] = [*filter(every_tenth_slice, fold["train"])]
        for part, cases in together.items():
            cases += [f"{name.removeprefix('Dataset')[:3]}_{case}" for case in fold[part]]
    return [together] * 5


def main() -> None:
    """Writes the files."""
    root = Path(nnUNet_preprocessed)
    for name, is_kept in KEPT.items():
        path = root / name / "splits_final.json"
        splits = json.loads(path.read_text(encoding="utf-8"))
        splits = [{**fold, "val": [*filter(is_kept, fold["val"])]} for fold in splits]
        path.write_text(json.dumps(splits, indent=4), encoding="utf-8")
        print(f"{path}: {[len(fold['val']) for fold in splits]} validation cases")
    if (root / POOL).is_dir():
        splits = pooled(root)
        path = root / POOL / "splits_final.json"
        path.write_text(json.dumps(splits, indent=4), encoding="utf-8")
        print(f"{path}: {len(splits[0]['train'])} training cases")


if __name__ == "__main__":
    main()
