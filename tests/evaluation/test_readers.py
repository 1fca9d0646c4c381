"""Another kind of summary than segmentation's, as a task of its own would add it."""

import csv
import json

import pytest
from results_tree import ResultsTree, segmentation

from nnunetv2_pcrl.cli.compare import main
from nnunetv2_pcrl.evaluation import readers
from nnunetv2_pcrl.evaluation.metric import ALL_CASES, MEAN, Metric
from nnunetv2_pcrl.evaluation.reader import Curve, SummaryReader
from nnunetv2_pcrl.evaluation.readers import reader_of
from nnunetv2_pcrl.evaluation.segmentation_reader import SegmentationReader
from nnunetv2_pcrl.label_folds.table import LabelFold

FOLDS = [LabelFold(5 + n, 0, 5, 0.1, n) for n in range(3)]
RATE, ERROR = Metric("Detection rate", True), Metric("Error", False, "mm", "how far off")
TWIN, OWN = "nnUNetTrainer", "PCRLv2FinetuneTrainer"


class DetectionReader(SummaryReader):
    """A rate for all cases of a run together, and an error of each."""

    curve = Curve("detected", "detected", "Detections in validation patches")

    @classmethod
    def reads(cls, summary):
        return "rate" in summary

    @classmethod
    def of_dataset(cls, preprocessed, plans, with_surfaces):
        return cls()

    def scores(self, folder, fold, measured):
        summary = json.loads((folder / "validation" / "summary.json").read_text())
        rate, errors = {ALL_CASES: summary["rate"]}, summary["errors"]
        return {RATE: {"nodule": rate, MEAN: rate}, ERROR: {"nodule": errors, MEAN: errors}}


@pytest.fixture
def tree(nnunet_folders, monkeypatch):
    monkeypatch.setattr(readers, "READERS", (DetectionReader, *readers.READERS))
    made = ResultsTree(nnunet_folders, FOLDS, {"a": segmentation()})
    for trainer, rates in ((TWIN, (0.5, 0.6, 0.7)), (OWN, (0.6, 0.75, 0.8))):
        for fold, rate in zip(FOLDS, rates, strict=True):
            folder = made.add_run(trainer, fold.fold, {"a": segmentation()})
            summary = {"rate": rate, "errors": {"a": 10 * rate, "b": 1.0}}
            (folder / "validation" / "summary.json").write_text(json.dumps(summary))
    return made


def test_a_kind_of_summary_is_known_by_its_keys(tree, tmp_path):
    assert reader_of(tree.folder(TWIN, 5) / "validation" / "summary.json") is DetectionReader
    path = tmp_path / "summary.json"
    path.write_text('{"metric_per_case": []}')
    assert reader_of(path) is SegmentationReader
    for content, words in (
        ("{cut", "JSONDecodeError"),
        ('{"other": 1}', "holds other"),
        ("3", "TypeError"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=f"summary.json is no summary .*--val .*{words}"):
            reader_of(path)


def test_what_exists_for_all_cases_together_is_compared_over_the_runs(tree, capsys):
    main(["-d", "998", "-c", "3d_fullres"])
    folder = tree.results / "comparison_3d_fullres_nnUNetPlans"
    text = (folder / "comparison.md").read_text()
    assert "Dataset998_Compared, 3d_fullres: Detection rate over number of labels" in text
    assert "Dice" not in text
    # Differences 0.1, 0.15 and 0.1.
    (line,) = [line for line in text.splitlines() if "3 of 3 runs" in line]
    assert "+0.117 [+0.045, +0.188]" in line
    assert "over cases |" not in text and "validation cases:" not in text
    assert f"{OWN} against {TWIN}, by mean Detection rate: better with 5" in " ".join(text.split())
    assert "Error (mm), lower is better: how far off." in text
    names = {path.name for path in folder.iterdir()}
    assert {"detection_rate_over_labels.svg", "comparison.html"} <= names
    # There is nothing to draw case by case, and no picture of cases.
    assert not any(name.startswith(("cases_against", "cases_with", "dice")) for name in names)


def test_the_table_of_cases_has_a_row_for_all_of_them_together(tree):
    main(["-d", "998", "-c", "3d_fullres"])
    path = tree.results / "comparison_3d_fullres_nnUNetPlans" / "cases.csv"
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["trainer"], row["fold"]) == (OWN, "6")]
    assert [(r["case"], r["detection_rate mean"], r["error_mm mean"]) for r in rows] == [
        (ALL_CASES, "0.75", ""),
        ("a", "", "7.5"),
        ("b", "", "1"),
    ]
