from pathlib import Path

from nnunetv2_pcrl.evaluation.amounts import amounts_of
from nnunetv2_pcrl.evaluation.comparison import Comparison
from nnunetv2_pcrl.evaluation.provenance import provenance_remarks
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.label_folds.table import LabelFold

# Two repeats of a part of fold 0, and one of fold 1.
FOLDS = [LabelFold(5, 0, 3, 0.1, 0), LabelFold(6, 0, 3, 0.1, 1), LabelFold(7, 1, 3, 0.1, 0)]
TWIN, OTHER = "nnUNetTrainer", "PCRLv2FinetuneTrainer"
TRAINERS = (TWIN, OTHER, "WithoutRuns")
COMPARISON = Comparison("Dataset998_X", "P", "2d", TRAINERS, TWIN, amounts_of(FOLDS))


def run(trainer: str, fold: int) -> TrainingRun:
    return TrainingRun(trainer, "P", "2d", fold)


def weights(fold: int | str, dataset: str = "Dataset998_X") -> Path:
    return Path("/results", dataset, "Pretrain__P__2d", f"fold_{fold}", "pretrained_weights.pth")


def started_from(*files: Path) -> list[str]:
    runs = [run(OTHER, fold.fold) for fold in FOLDS]
    return provenance_remarks(COMPARISON, {}, dict(zip(runs, files, strict=False)))


def test_unequal_budgets_are_warned_about():
    short, long = run(TWIN, 5), run(OTHER, 5)
    assert provenance_remarks(COMPARISON, {short: 5, long: 5}, {}) == [
        "epochs of every training: 5"
    ]
    (remark,) = provenance_remarks(COMPARISON, {short: 5, long: 50}, {})
    assert remark.startswith("WARNING")
    assert "(nnUNetTrainer 5; PCRLv2FinetuneTrainer 50)" in remark
    assert provenance_remarks(COMPARISON, {}, {}) == []


def test_weights_of_the_same_fold_or_of_other_data_have_seen_no_validation_image():
    (remark,) = started_from(weights(0), weights(0), weights(1))
    assert remark == f"{OTHER} started from Pretrain__P__2d/fold_0, Pretrain__P__2d/fold_1"
    # Fold 6 is a part of fold 0.
    assert "WARNING" not in started_from(weights(6), weights(5), weights(7))[0]
    elsewhere = weights("all", "Dataset007_Y")
    (remark,) = started_from(elsewhere)
    assert remark == f"{OTHER} started from {elsewhere}"
    assert started_from(Path("w.pth")) == [f"{OTHER} started from w.pth"]


def test_weights_that_have_seen_validation_images_are_warned_about():
    assert "WARNING: in 3 of 3 runs" in started_from(*[weights("all")] * 3)[0]
    assert "WARNING: in 1 of 3 runs" in started_from(*[weights(0)] * 3)[0]
