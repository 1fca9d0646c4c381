import json
from dataclasses import replace
from pathlib import Path

from nnunetv2_pcrl.evaluation.amounts import amounts_of
from nnunetv2_pcrl.evaluation.comparison import Comparison
from nnunetv2_pcrl.evaluation.origin import Origin, read_origin
from nnunetv2_pcrl.evaluation.provenance import provenance_remarks, weights_for
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.label_folds.table import LabelFold

# Two repeats of a part of fold 0, and one of fold 1.
FOLDS = [LabelFold(5, 0, 3, 0.1, 0), LabelFold(6, 0, 3, 0.1, 1), LabelFold(7, 1, 3, 0.1, 0)]
TWIN, OTHER = "nnUNetTrainer", "PCRLv2FinetuneTrainer"
TRAINERS = (TWIN, OTHER, "WithoutRuns")
COMPARISON = Comparison("Dataset998_X", "P", "2d", TRAINERS, TWIN, amounts_of(FOLDS))

UNKNOWN = "whether it had images that are validated on is not known"


def run(trainer: str, fold: int) -> TrainingRun:
    return TrainingRun(trainer, "P", "2d", fold)


def weights(fold: int | str, dataset: str = "Dataset998_X") -> Path:
    return Path("/results", dataset, "Pretrain__P__2d", f"fold_{fold}", "pretrained_weights.pth")


def started_from(*files: Path) -> list[str]:
    runs = [run(OTHER, fold.fold) for fold in FOLDS]
    origins = {run: Origin(weights=path) for run, path in zip(runs, files, strict=False)}
    return provenance_remarks(COMPARISON, origins)


def test_unequal_budgets_are_warned_about():
    short, long = run(TWIN, 5), run(OTHER, 5)
    assert provenance_remarks(COMPARISON, {short: Origin(epochs=5), long: Origin(epochs=5)}) == [
        "epochs of every training: 5"
    ]
    (remark,) = provenance_remarks(COMPARISON, {short: Origin(epochs=5), long: Origin(epochs=50)})
    assert remark.startswith("WARNING")
    assert "(nnUNetTrainer 5; PCRLv2FinetuneTrainer 50)" in remark
    assert provenance_remarks(COMPARISON, {}) == []


def test_pairs_on_different_devices_are_warned_about():
    cpu, gpu = Origin(device="cpu"), Origin(device="NVIDIA A100")
    same = {run(name, fold): gpu for name in (TWIN, OTHER) for fold in (5, 6)}
    # Of different draws, or nobody knows of what.
    unpaired = {run(TWIN, 7): cpu, run("WithoutRuns", 5): Origin()}
    assert provenance_remarks(COMPARISON, same | unpaired) == []
    (remark,) = provenance_remarks(COMPARISON, same | unpaired | {run(TWIN, 6): cpu})
    assert remark.startswith(f"WARNING: {OTHER} and {TWIN} were trained on different devices in 1 ")
    assert "of 2 pairs (1 on NVIDIA A100 and cpu)" in remark


def test_what_was_warned_of_at_the_start_of_a_training_is_repeated(tmp_path):
    assert read_origin(tmp_path, None) == Origin()
    warning = "WARNING: its pretraining stopped after 16 of 20 epochs"
    report = {"weights": "w.pth", "remarks": ["It holds: weights", warning]}
    (tmp_path / "transfer_report.json").write_text(json.dumps(report))
    (tmp_path / "debug.json").write_text(json.dumps({"device": "cuda:0", "gpu_name": "NVIDIA A"}))
    origin = read_origin(tmp_path, 5)
    assert origin == Origin(5, Path("w.pth"), (warning,), "NVIDIA A")
    # nnU-Net names the machine's GPU whatever it trains on.
    (tmp_path / "debug.json").write_text(json.dumps({"device": "cpu", "gpu_name": "NVIDIA A"}))
    assert read_origin(tmp_path, 5).device == "cpu"
    origins = {run(OTHER, 5): origin, run(OTHER, 6): Origin(weights=Path("w.pth"))}
    assert provenance_remarks(COMPARISON, origins)[1] == (
        f"{OTHER} started from w.pth; {UNKNOWN}; in 1 of 2 runs the report of what was loaded says "
        f"{warning}"
    )


def test_a_missing_run_starts_from_what_the_finished_ones_of_its_trainer_started_from():
    own, pool = weights(0), weights(0, "Dataset190_Pool")
    finished = {run(OTHER, 5): Origin(weights=own), run(TWIN, 6): Origin()}
    assert weights_for(run(OTHER, 6), COMPARISON, finished) == own
    # That of fold 0 is not for fold 1.
    assert weights_for(run(OTHER, 7), COMPARISON, finished) is None
    assert weights_for(run(TWIN, 7), COMPARISON, finished) is None
    finished = {run(OTHER, 5): Origin(weights=pool)}
    assert weights_for(run(OTHER, 7), COMPARISON, finished) == pool
    finished[run(OTHER, 6)] = Origin(weights=weights(1, "Dataset190_Pool"))
    assert weights_for(run(OTHER, 7), COMPARISON, finished) is None


def test_a_twin_without_seeds_is_paired_with_every_seed():
    seeded = {(OTHER, 5): {0: f"{OTHER}_seed0", 1: f"{OTHER}_seed1"}}
    comparison = replace(COMPARISON, seeded=seeded)
    (amount,) = amounts_of(FOLDS[:1])
    pairs = comparison.pairs_with(OTHER, amount)
    assert [(own.trainer, twin.trainer) for own, twin in pairs] == [
        (f"{OTHER}_seed0", TWIN),
        (f"{OTHER}_seed1", TWIN),
    ]
    gpu, cpu = Origin(device="NVIDIA A"), Origin(device="cpu")
    origins = {pairs[0][0]: cpu, pairs[1][0]: cpu, pairs[0][1]: gpu}
    (remark,) = provenance_remarks(comparison, origins)
    assert "different devices in 2 of 2 pairs (2 on cpu and NVIDIA A)" in remark
    # Seeds that differ are no pair.
    others = {**seeded, (TWIN, 5): {2: f"{TWIN}_seed2"}}
    assert replace(COMPARISON, seeded=others).pairs_with(OTHER, amount) == []


def test_weights_of_the_same_fold_have_seen_no_validation_image_and_of_others_it_is_unknown():
    (remark,) = started_from(weights(0), weights(0), weights(1))
    assert remark == f"{OTHER} started from Pretrain__P__2d/fold_0, Pretrain__P__2d/fold_1"
    # Fold 6 is a part of fold 0.
    assert "WARNING" not in started_from(weights(6), weights(5), weights(7))[0]
    elsewhere = weights("all", "Dataset007_Y")
    (remark,) = started_from(elsewhere)
    assert remark == f"{OTHER} started from {elsewhere}; {UNKNOWN}"
    assert started_from(Path("w.pth")) == [f"{OTHER} started from w.pth; {UNKNOWN}"]


def test_weights_that_have_seen_validation_images_are_warned_about():
    assert "WARNING: in 3 of 3 runs" in started_from(*[weights("all")] * 3)[0]
    assert "WARNING: in 1 of 3 runs" in started_from(*[weights(0)] * 3)[0]
