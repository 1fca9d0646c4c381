from pathlib import Path

from results_tree import ResultsTree, segmentation

from nnunetv2_pcrl.evaluation.amounts import amounts_of
from nnunetv2_pcrl.evaluation.comparison import Comparison, compare
from nnunetv2_pcrl.evaluation.markdown import as_markdown
from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.segmentation_reader import SegmentationReader
from nnunetv2_pcrl.evaluation.write_up import write_up
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.label_folds.table import LabelFold

FOLDS = [LabelFold(5, 0, 3, 0.01, 0)]


def test_a_bar_in_a_labels_name_does_not_begin_a_column(tmp_path: Path):
    labels = {"background": 0, "left|right": 1, "second": 2}
    tree = ResultsTree(tmp_path, FOLDS, {"a": segmentation()}, {"labels": labels})
    folder = tree.add_run("nnUNetTrainer", 5, {"a": segmentation(1)})
    reader = SegmentationReader.of_dataset(tree.preprocessed, "nnUNetPlans", with_surfaces=False)
    scores = reader.scores(folder, 5, Measured(tmp_path / "m.json"))
    trainers = ("nnUNetTrainer",)
    comparison = Comparison(
        "D", "nnUNetPlans", "3d_fullres", trainers, *trainers, amounts_of(FOLDS)
    )
    scores = {TrainingRun("nnUNetTrainer", "nnUNetPlans", "3d_fullres", 5): scores}
    text = as_markdown(write_up(comparison, compare(comparison, scores), scores, [], []))
    header, rule, body = (line for line in text.splitlines() if line.startswith("|"))
    assert "Dice left\\|right" in header
    assert header.replace("\\|", "").count("|") == rule.count("|") == body.count("|")
    assert len(header) == len(rule) == len(body)
