import json
import math
from pathlib import Path

import pytest
from results_tree import ResultsTree, segmentation

from nnunetv2_pcrl.cli.compare import main
from nnunetv2_pcrl.evaluation.classification_reader import (
    AUROC,
    AVERAGE_PRECISION,
    ClassificationReader,
)
from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.metric import ALL_CASES, MEAN
from nnunetv2_pcrl.evaluation.readers import reader_of
from nnunetv2_pcrl.label_folds.table import LabelFold

FOLDS = [LabelFold(5 + n, 0, 5, 0.1, n) for n in range(2)]
TWIN, OWN = "PCRLv2ClassificationTrainer_fromScratch", "PCRLv2ClassificationTrainer"


def entry(auroc: float | None, precision: float | None) -> dict:
    return {"num_positive": 4, "auroc": auroc, "average_precision": precision}


def summary_of(**classes) -> dict:
    return {"mean": entry(0.75, 0.5), "classes": classes, "num_cases": 9}


def write(folder: Path, summary: dict) -> Path:
    path = folder / "validation" / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary))
    return path


def test_classes_and_their_mean_are_read_and_what_is_not_defined_is_nan(tmp_path):
    path = write(tmp_path, summary_of(effusion=entry(0.75, 0.5), mass=entry(None, None)))
    assert reader_of(path) is ClassificationReader
    scores = ClassificationReader().scores(tmp_path, 5, Measured(tmp_path / "m.json"))
    assert scores[AUROC]["effusion"] == {ALL_CASES: 0.75}
    assert scores[AVERAGE_PRECISION][MEAN] == {ALL_CASES: 0.5}
    assert math.isnan(scores[AUROC]["mass"][ALL_CASES])


def test_damaged_summaries_and_other_classes_are_refused(tmp_path):
    reader, measured = ClassificationReader(), Measured(tmp_path / "m.json")
    write(tmp_path / "a", summary_of(effusion=entry(0.75, 0.5)))
    reader.scores(tmp_path / "a", 5, measured)
    write(tmp_path / "b", summary_of(mass=entry(0.75, 0.5)))
    with pytest.raises(ValueError, match=r"b.* has the classes mass, .*a.* has effusion"):
        reader.scores(tmp_path / "b", 5, measured)
    write(tmp_path / "b", {"mean": entry(0.75, 0.5), "classes": {"effusion": {}}})
    with pytest.raises(ValueError, match="no summary of a classification .KeyError.*--val"):
        reader.scores(tmp_path / "b", 5, measured)


@pytest.mark.slow
def test_classifiers_are_compared_over_their_runs(nnunet_folders):
    tree = ResultsTree(nnunet_folders, FOLDS, {"a": segmentation()})
    for trainer, values in ((TWIN, (0.6, 0.7)), (OWN, (0.7, 0.8))):
        for fold, value in zip(FOLDS, values, strict=True):
            folder = tree.add_run(trainer, fold.fold, {"a": segmentation()})
            classes = {name: entry(value, value / 2) for name in ("effusion", "mass")}
            write(folder, {**summary_of(**classes), "mean": entry(value, value / 2)})
    main(["-d", "998", "-c", "3d_fullres"])
    text = (tree.results / "comparison_3d_fullres_nnUNetPlans" / "comparison.md").read_text()
    rows = [[c.strip() for c in line.split("|")] for line in text.splitlines() if "|" in line]
    assert rows[0][4:8] == ["AUROC", "AUROC effusion", "AUROC mass", "average precision"]
    assert rows[2][4] == "0.650 +- 0.071"
    assert "+0.100 [+0.100, +0.100]" in text and "2 of 2 runs" in text
    assert "Dice" not in text
