"""nnUNetv2_pcrl_compare on several data sets: one table."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from results_tree import NAME, ResultsTree, segmentation

from nnunetv2_pcrl.cli.compare import main
from nnunetv2_pcrl.label_folds.table import LabelFold

pytestmark = pytest.mark.slow

FOLDS = [LabelFold(5 + n, 0, 5, 0.1, n) for n in range(2)]
SCRATCH, TUNED = "PCRLv2FinetuneTrainer_fromScratch_3epochs", "PCRLv2FinetuneTrainer_3epochs"
TWIN, OWN = "PCRLv2ClassificationTrainer_fromScratch", "PCRLv2ClassificationTrainer"
CLASSIFIED, OTHER = "Dataset997_Classified", "Dataset996_Other"


@pytest.fixture
def root(nnunet_folders) -> Path:
    """A data set with segmentations, one with classes, one with fewer results."""
    trees = [
        ResultsTree(nnunet_folders, FOLDS, {"a": segmentation()}, name=name)
        for name in (NAME, CLASSIFIED, OTHER)
    ]
    # The second organ is missing; the first is whole, or off by half: mean Dice 0.5 and 0.25.
    for tree in (trees[0], trees[2]):
        for fold in (5, 6) if tree is trees[0] else (5,):
            tree.add_run(SCRATCH, fold, {"a": segmentation(3, False)})
            tree.add_run(TUNED, fold, {"a": segmentation(0, False)})
    for trainer, values in ((TWIN, (0.6, 0.7)), (OWN, (0.7, 0.8))):
        for fold, value in zip((5, 6), values, strict=True):
            folder = trees[1].add_run(trainer, fold, {"a": segmentation()})
            entry = {"num_positive": 4, "auroc": value, "average_precision": value / 2}
            summary = {"mean": entry, "classes": {"ill": entry}, "num_cases": 9}
            (folder / "validation" / "summary.json").write_text(json.dumps(summary))
    (trees[1].preprocessed / "classes.csv").write_text("identifier,ill\na,1\n")
    return nnunet_folders


def compare(root: Path, *more: str) -> Path:
    main(["-d", "998", "997", "996", "-c", "3d_fullres", "--no_surface", *more])
    return root / "nnUNet_results" / "comparison_3d_fullres_nnUNetPlans"


def table(folder: Path) -> list[list[str]]:
    lines = (folder / "comparison.md").read_text().splitlines()
    return [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line.startswith("|")]


def test_each_data_set_is_a_row_with_the_metric_of_its_task(root, capsys):
    folder = compare(root)
    header, _, *rows = table(folder)
    names = ["PCRLv2FinetuneTrainer_fromScratch_3epochs (twin)", TUNED, f"{TWIN} (twin)", OWN]
    assert header == ["data set", "metric", "cases", *names]
    assert rows == [
        [NAME, "Dice", "5", "0.250 +- 0.000", "0.500 +- 0.000 (+0.250 [+0.250, +0.250])", "", ""],
        [CLASSIFIED, "AUROC", "5", "", "", "0.650 +- 0.071", rows[1][6]],
        [OTHER, "Dice", "5", "0.250, 1 of 2 runs", "0.500 (+0.250), 1 of 2 runs", "", ""],
    ]
    assert rows[1][6] == "0.750 +- 0.071 (+0.100 [+0.100, +0.100])"
    text = capsys.readouterr().out
    assert (folder / "comparison.md").read_text() in text
    assert f"{NAME}: PCRLv2FinetuneTrainer" in text and "better with 5 labelled cases" in text
    assert "2 runs are not finished" in text and f"nnUNetv2_train {OTHER}" in text


def test_every_data_set_has_all_files_of_its_own_and_all_numbers_are_in_one(root):
    folder = compare(root)
    for name in (NAME, CLASSIFIED, OTHER):
        assert {"comparison.html", "cases.csv"} <= {p.name for p in (folder / name).iterdir()}
    assert f"{CLASSIFIED}/comparison.html" in (folder / "comparison.html").read_text()
    with open(folder / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    means = {
        (row["data_set"], row["trainer"], row["metric"]): row["mean"]
        for row in rows
        if row["label"] == "mean"
    }
    assert means[NAME, TUNED, "dice"] == "0.5" and means[CLASSIFIED, OWN, "auroc"] == "0.75"


def test_named_trainers_are_looked_for_on_the_data_sets_of_their_task(root, tmp_path):
    compare(root, "--trainers", SCRATCH, TUNED, TWIN, OWN, "-o", str(tmp_path / "all"))
    assert [row[1] for row in table(tmp_path / "all")[2:]] == ["Dice", "AUROC", "Dice"]


def test_a_twin_counts_where_its_task_is_learned(root, tmp_path):
    compare(root, "--twin", SCRATCH, "-o", str(tmp_path / "all"))
    header, _, *rows = table(tmp_path / "all")
    assert f"{TWIN} (twin)" in header and f"{SCRATCH} (twin)" in header
    assert [row[1] for row in rows] == ["Dice", "AUROC", "Dice"]


def test_results_of_two_tasks_on_a_data_set_are_two_comparisons(root, tmp_path, capsys):
    """By its tables the task of a data set is classification; a twin names the other."""
    shutil.copytree(
        root / "nnUNet_results" / CLASSIFIED, root / "nnUNet_results" / NAME, dirs_exist_ok=True
    )
    shutil.copy(
        root / "nnUNet_preprocessed" / CLASSIFIED / "classes.csv",
        root / "nnUNet_preprocessed" / NAME,
    )
    for more, found, other in (([], OWN, TUNED), (["--twin", SCRATCH], TUNED, OWN)):
        main(["-d", "998", "-c", "3d_fullres", "--no_surface", "-o", str(tmp_path / found), *more])
        text = (tmp_path / found / "comparison.md").read_text()
        assert found in text and other not in text


def test_a_data_set_without_results_is_said_and_the_others_are_compared(root, capsys):
    ResultsTree(root, FOLDS, {"a": segmentation()}, name="Dataset995_Empty")
    main(["-d", "998", "995", "-c", "3d_fullres", "--no_surface"])
    text = capsys.readouterr().out
    assert "WARNING: Dataset995_Empty is missing: No trainer has finished one of" in text
    assert "# 1 of 2 data sets, 3d_fullres" in text
    ResultsTree(root, FOLDS, {"a": segmentation()}, name="Dataset994_Empty")
    with pytest.raises(SystemExit, match=r"Dataset995_Empty: No trainer.*\n.*Dataset994_Empty: No"):
        main(["-d", "995", "994", "-c", "3d_fullres"])
