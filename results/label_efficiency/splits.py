"""Thins the validation cases whose neighbours are alike or whose prediction takes long.

    python results/label_efficiency/splits.py

splits_final.json of LGG and of ACDC, with patients apart, is read from nnUNet_preprocessed and
replaced there; run twice it changes nothing.
"""

import json
from pathlib import Path

from nnunetv2.paths import nnUNet_preprocessed


def every_fourth_slice(case: str) -> bool:
    """By its number, which stands at the end: LGG_CS_4941_s012."""
    return int(case.rsplit("_s", 1)[1]) % 4 == 0


def every_second_patient(case: str) -> bool:
    """By the number, with both frames: patient004_frame01."""
    return int(case.split("_frame")[0].removeprefix("patient")) % 2 == 0


KEPT = {"Dataset101_LGGFlair2D": every_fourth_slice, "Dataset103_ACDC": every_second_patient}


def main() -> None:
    """Writes the files."""
    for name, is_kept in KEPT.items():
        path = Path(nnUNet_preprocessed) / name / "splits_final.json"
        splits = json.loads(path.read_text(encoding="utf-8"))
        splits = [{**fold, "val": [*filter(is_kept, fold["val"])]} for fold in splits]
        path.write_text(json.dumps(splits, indent=4), encoding="utf-8")
        print(f"{path}: {[len(fold['val']) for fold in splits]} validation cases")


if __name__ == "__main__":
    main()
