"""Thins the validation cases of LGG's splits: every fourth slice of each patient.

    python results/label_efficiency/splits.py

splits_final.json of Dataset101_LGGFlair2D, with patients apart, is read from nnUNet_preprocessed
and replaced there; run twice it changes nothing.
"""

import json
from pathlib import Path

from nnunetv2.paths import nnUNet_preprocessed

NAME = "Dataset101_LGGFlair2D"
EVERY = 4


def thinned(cases: list[str]) -> list[str]:
    """Every fourth slice by its number, which stands at the end: LGG_CS_4941_s012."""
    return [case for case in cases if int(case.rsplit("_s", 1)[1]) % EVERY == 0]


def main() -> None:
    """Writes the file."""
    path = Path(nnUNet_preprocessed) / NAME / "splits_final.json"
    splits = json.loads(path.read_text(encoding="utf-8"))
    splits = [{**fold, "val": thinned(fold["val"])} for fold in splits]
    path.write_text(json.dumps(splits, indent=4), encoding="utf-8")
    print(f"{path}: {[len(fold['val']) for fold in splits]} validation cases")


if __name__ == "__main__":
    main()
