"""Data sets with plans and label folds, and no images, for experiments with a stand-in."""

import json
from pathlib import Path

from prepared_dataset import configuration, plans

from nnunetv2_pcrl.label_folds.files import table_of, write_folds
from nnunetv2_pcrl.label_folds.table import LabelFold

# Two repeats of 5 cases of fold 0.
LABEL_FOLDS = [LabelFold(5 + repeat, 0, 5, 0.1, repeat) for repeat in range(2)]


def prepare(preprocessed: Path, name: str) -> Path:
    """Writes plans and two label folds of a data set into nnUNet_preprocessed; its folder."""
    folder = preprocessed / name
    folder.mkdir()
    content = plans({"2d": configuration(2), "3d_cascade_fullres": {"inherits_from": "2d"}})
    content["configurations"]["3d_cascade_fullres"]["previous_stage"] = "3d_lowres"
    content["dataset_name"] = name
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))
    whole = {"train": list("abcdefg"), "val": ["x"]}
    splits = [*[whole] * 5, *[{**whole, "train": list(part)} for part in ("abcde", "cdefg")]]
    write_folds(folder, splits, table_of(0, LABEL_FOLDS, splits))
    return folder
