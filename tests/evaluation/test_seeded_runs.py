from pathlib import Path

import pytest

from nnunetv2_pcrl.evaluation.amounts import amounts_of
from nnunetv2_pcrl.evaluation.comparison import Comparison, compare
from nnunetv2_pcrl.evaluation.metric import MEAN, Metric
from nnunetv2_pcrl.evaluation.trainers import seeded_runs, trainers_with_results
from nnunetv2_pcrl.label_folds.table import LabelFold

FOLDS = [LabelFold(5, 0, 3, 0.1, 0), LabelFold(6, 0, 3, 0.1, 1)]
TWIN, OWN, STOCK = "T_fromScratch_9epochs", "T_9epochs", "nnUNetTrainer_9epochs"
DICE = Metric("Dice", True)


def begin(results: Path, trainer: str, fold: int, is_finished: bool = True) -> None:
    folder = results / f"{trainer}__P__2d" / f"fold_{fold}"
    (folder / "validation").mkdir(parents=True)
    if is_finished:
        (folder / "validation" / "summary.json").touch()
        (folder / "checkpoint_final.pth").touch()


@pytest.fixture
def comparison(tmp_path) -> Comparison:
    """Fold 5 with the seeds 1 and 2, of which one trainer has begun one only; fold 6 with none."""
    begin(tmp_path, "T_fromScratch_seed1_9epochs", 5)
    begin(tmp_path, "T_seed1_9epochs", 5)
    begin(tmp_path, "T_seed2_9epochs", 5, is_finished=False)
    begin(tmp_path, STOCK, 5)
    trainers = trainers_with_results(tmp_path, "P", "2d", FOLDS)
    assert trainers == sorted([TWIN, OWN, STOCK])
    seeded = seeded_runs(tmp_path, "P", "2d", trainers, FOLDS)
    return Comparison("D", "P", "2d", (TWIN, OWN, STOCK), TWIN, amounts_of(FOLDS), seeded)


def test_a_seed_that_one_trainer_has_begun_is_planned_for_the_others(comparison, tmp_path):
    assert [run.trainer for run in comparison.runs_of(TWIN, 5).values()] == [
        "T_fromScratch_seed1_9epochs",
        "T_fromScratch_seed2_9epochs",
    ]
    # The stock trainer knows no seeds.
    assert [run.trainer for run in comparison.runs_of(STOCK, 5).values()] == [STOCK]
    missing = {(run.trainer, run.fold) for run in comparison.missing_runs(tmp_path)}
    assert missing == {
        ("T_seed2_9epochs", 5),
        ("T_fromScratch_seed2_9epochs", 5),
        ("T_seed1_9epochs", 6),
        ("T_seed2_9epochs", 6),
        ("T_fromScratch_seed1_9epochs", 6),
        ("T_fromScratch_seed2_9epochs", 6),
        (STOCK, 6),
    }


def test_pairs_are_formed_within_a_seed_and_counted(comparison):
    dice = {TWIN: {1: 0.5, 2: 0.7}, OWN: {1: 0.6, 2: 0.6}, STOCK: {None: 0.9}}
    scores = {
        run: {DICE: {"a": {"case": dice[t][seed]}, MEAN: {"case": dice[t][seed]}}}
        for t in dice
        for (_, seed), run in comparison.runs_of(t, 5).items()
    }
    rows = {r.trainer: r for r in compare(comparison, scores) if r.label == MEAN}
    own, stock = rows[OWN].difference, rows[STOCK].difference
    assert (own.num_runs, own.num_same_seed, own.num_better) == (2, 2, 1)
    # Without a seed: against the mean of the twin's runs on that label fold.
    assert (stock.num_runs, stock.num_same_seed) == (1, 0)
    assert stock.run_mean == pytest.approx(0.9 - 0.6)
    assert rows[OWN].planned_runs == 4
    assert rows[STOCK].planned_runs == 2


def missing(results: Path, *trainers: str) -> list[tuple[str, int]]:
    seeded = seeded_runs(results, "P", "2d", trainers, FOLDS)
    comparison = Comparison("D", "P", "2d", trainers, trainers[0], amounts_of(FOLDS), seeded)
    return [(run.trainer, run.fold) for run in comparison.missing_runs(results)]


OURS = "PCRLv2FinetuneTrainer_fromScratch_5epochs", "PCRLv2FinetuneTrainer_5epochs"


def test_a_trainer_that_has_begun_nothing_is_missing_with_the_seeds_of_the_others(tmp_path):
    begin(tmp_path, "PCRLv2FinetuneTrainer_seed5_5epochs", 5)
    assert missing(tmp_path, *OURS, "nnUNetTrainer_5epochs") == [
        ("PCRLv2FinetuneTrainer_fromScratch_seed5_5epochs", 5),
        ("nnUNetTrainer_5epochs", 5),
        ("PCRLv2FinetuneTrainer_fromScratch_seed6_5epochs", 6),
        ("PCRLv2FinetuneTrainer_seed6_5epochs", 6),
        ("nnUNetTrainer_5epochs", 6),
    ]


def test_a_label_fold_that_none_has_begun_is_missing_with_all_seeds_of_the_experiment(tmp_path):
    begin(tmp_path, "T_seed0_9epochs", 5)
    begin(tmp_path, "T_seed1_9epochs", 5)
    assert missing(tmp_path, OWN) == [("T_seed0_9epochs", 6), ("T_seed1_9epochs", 6)]


def test_a_label_folds_own_seed_is_not_expected_of_another_because_of_one_more(tmp_path):
    for name, fold in (("T_seed5_9epochs", 5), ("T_seed6_9epochs", 6), ("T_seed0_9epochs", 6)):
        begin(tmp_path, name, fold)
    folds = [*FOLDS, LabelFold(7, 0, 3, 0.1, 2)]
    seeded = seeded_runs(tmp_path, "P", "2d", [OWN], folds)
    assert {fold: set(names) for (_, fold), names in seeded.items()} == {5: {5}, 6: {0, 6}, 7: {7}}


def test_results_without_seeds_are_no_seeded_ones(tmp_path):
    begin(tmp_path, OWN, 5)
    begin(tmp_path, "T_seed6_9epochs", 6)
    begin(tmp_path, "T_fromScratch_seed6_9epochs", 6)
    assert missing(tmp_path, TWIN, OWN) == [
        ("T_fromScratch_seed5_9epochs", 5),
        ("T_seed5_9epochs", 5),
    ]
