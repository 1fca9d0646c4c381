"""The scripts of results/balance: splits, jobs, the table."""

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path

import page_copies
import prepared_dataset
import pytest
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.tasks.segmentation.finetune_trainer import FinetuneTrainer


@pytest.fixture
def jobs(monkeypatch):
    return page_copies.script("balance", "jobs", monkeypatch)


def result(job, **found) -> dict:
    values = {"val_retrieval_level_0": 0.1, "val_retrieval_level_1": 0.2, "probe_dice": 0.5}
    values |= {"val_restoration_error": 0.6, "val_global_comparison": -0.5}
    values |= {"val_local_comparison": -0.1, "train_gradient_norm": 3.0}
    values |= {"val_gradient_restoration": 1.0, "val_gradient_global_comparison": 3.0, **found}
    return {**asdict(job), "found": values}


def write(folder: Path, results) -> None:
    for each in results:
        (folder / f"{each['name']}.json").write_text(json.dumps(each), encoding="utf-8")


def test_draws_have_one_case_of_each_patient_out_of_those_that_are_left(monkeypatch):
    splits = page_copies.script("balance", "splits", monkeypatch)
    training = [f"patient{n:03}_frame{f:02}" for n in range(20) for f in (1, 2)]
    found = splits.splits_of(training, ["other"], 0.65)
    assert len(found) == 5 + 8 and found[0] == found[4]
    assert len(found[0]["train"]) == 26
    for draw in found[5:]:
        assert set(draw["train"]) <= set(found[0]["train"])
        assert len({splits.patient_of(case) for case in draw["train"]}) == 5
    assert found == splits.splits_of(training, ["other"], 0.65)
    folds = {"Dataset004_A": {"train": ["a"], "val": ["b"]}, "Dataset103_B": found[0]}
    pool = splits.pooled(folds)
    assert len(pool) == 5 and pool[0]["val"] == ["004_b", "103_other"]
    assert pool[0]["train"][:2] == ["004_a", f"103_{found[0]['train'][0]}"]


def test_stage_2_starts_from_its_pretrainings_and_pairs_its_arms_by_draw(jobs):
    found = jobs.stage_2()
    assert len({job.name for job in found}) == len(found)
    starts = {job.starts_from for job in found if job.starts_from}
    assert starts == {job.name for job in found if "_long" in job.name and not job.starts_from}
    assert [job.configuration for job in jobs.check()] == [*["2d"] * 4, "3d_fullres"]
    longer = [job for job in found if job.name == "103_longer_MAE_seed0"]
    assert longer[0].settings["pretraining"]["num_epochs"] == 120
    # Equal draws share label fold and seed.
    for draw in range(8):
        arms = [job for job in found if f"4_5cases_draw{draw}_" in job.name]
        assert {(job.fold, job.trainer.rsplit("_", 1)[1]) for job in arms} == {
            (5 + draw, f"seed{draw}")
        }


def test_the_table_has_a_row_per_training_and_the_part_of_the_gradient(jobs, monkeypatch, tmp_path):
    table = page_copies.script("balance", "table", monkeypatch)
    pooled = [job for job in jobs.stage_2() if job.name == "190_long_w1_sgd0.01_seed0"]
    results = [result(job) for job in [*jobs.stage_1()[:2], *jobs.check(), *pooled]]
    del results[-1]["found"]["probe_dice"]
    write(tmp_path, results)
    table.main(tmp_path, tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert len(rows) == 2
    assert rows[0]["restorations' part of the gradient"] == "0.250"
    assert rows[0]["retrieval / chance"] == "3.2"
    assert (tmp_path / "balance.svg").is_file()
    assert [row["data set"] for row in csv.DictReader((tmp_path / "check.csv").open())] == [
        "ACDC",
        "ACDC in 3D",
        "Hippocampus",
        "Hippocampus and ACDC",
        "chest films",
        "generated CT",
    ]
    _, _, first, *others = page_copies.cells_of(tmp_path / "check.md")
    assert len(others) == 5 and first[:4] == ["ACDC", "1", "990", "sgd 0.01"]


def test_dice_is_paired_by_draw_and_a_missing_draw_is_left_out(jobs, monkeypatch, tmp_path):
    dice = page_copies.script("balance", "dice", monkeypatch)
    value = {"twin": 0.5, jobs.STAGE_1: 0.6, jobs.DEFAULT: 0.55, "MAE_encoder": 0.4}
    wanted = [job for job in jobs.stage_2() if "_5cases_" in job.name and job.data == 4]
    found = []
    for job in wanted:
        draw, arm = job.name.split("_draw")[1].split("_", 1)
        if arm in value and (draw, arm) != ("3", "twin"):
            found.append(result(job, dice=value[arm] + 0.01 * int(draw)))
    write(tmp_path, found)
    dice.main(tmp_path, tmp_path)
    rows = [row[3:] for row in page_copies.cells_of(tmp_path / "dice.md")]
    assert ["7", "0.635", "+0.1000", "+0.1000 to +0.1000", "7 of 7"] in rows
    assert ["3", "0.415", "-0.1000", "-0.1000 to -0.1000", "0 of 3"] in rows
    assert ["8", "0.635", "+0.0500", "+0.0500 to +0.0500", "8 of 8"] in rows
    assert (tmp_path / "dice.svg").is_file()
    assert len((tmp_path / "dice.csv").read_text().splitlines()) == 1 + 7 + 8 + 8 + 4


def leave_summary(trainer, save_probabilities: bool) -> None:
    """As nnU-Net's validation, whose Dice is the sum of a weight."""
    assert trainer.inference_allowed_mirroring_axes is None
    dice = float(next(trainer.network.parameters()).detach().sum())
    folder = Path(trainer.output_folder) / "validation"
    folder.mkdir(exist_ok=True)
    entry = {"metrics": {"1": {"Dice": dice}}}
    summary = {"foreground_mean": {"Dice": dice}, "metric_per_case": [entry]}
    (folder / "summary.json").write_text(json.dumps(summary))


@pytest.mark.slow
def test_a_fine_tuning_starts_from_the_pretraining_that_its_job_names(
    monkeypatch, nnunet_folders, no_workers, one_thread
):
    measure = page_copies.script("balance", "measure", monkeypatch)
    # What it imported.
    jobs = sys.modules["jobs"]
    preprocessed = nnunet_folders / "nnUNet_preprocessed"
    monkeypatch.setattr(prepared_dataset, "NAME", measure.NAMES[4])
    dataset = PreparedDataset(preprocessed, {"2d": configuration(2)})
    cases = [f"hippocampus_{number}" for number in range(4)]
    for number, case in enumerate(cases):
        dataset.add_case("2d", case, smooth_image((1, 2, 20, 20), number))
    splits = [{"train": cases[:3], "val": cases[3:]}] * 6
    (dataset.folder / "splits_final.json").write_text(json.dumps(splits))
    values = {"nnUNet_preprocessed": str(preprocessed), "SIZES": {"2d": (4, 8, 16, 4)}}
    for name, value in {**values, "ITERATIONS_PER_EPOCH": 1}.items():
        monkeypatch.setattr(measure, name, value)
    for name, value in {
        "STEPS_PER_EPOCH": 1,
        "LONG_EPOCHS": 1,
        "BATCH": 2,
        "FINETUNE_EPOCHS": 1,
    }.items():
        monkeypatch.setattr(jobs, name, value)
    monkeypatch.setattr(FinetuneTrainer, "perform_actual_validation", leave_summary)
    wanted = ("4_long_w5_sgd0.01_seed0", "4_5cases_draw0_w5_sgd0.01", "4_5cases_draw0_twin")
    listed = {job.name: job for job in jobs.stage_2()}
    for name in wanted:
        found = measure.train(listed[name], nnunet_folders, "cpu")
        (nnunet_folders / f"{name}.json").write_text(json.dumps(found))
    folders = {
        name: Path(json.loads((nnunet_folders / f"{name}.json").read_text())["output_folder"])
        for name in wanted
    }
    report = json.loads((folders[wanted[1]] / "transfer_report.json").read_text())
    assert report["weights"] == str(folders[wanted[0]] / "pretrained_weights.pth")
    assert not (folders[wanted[2]] / "transfer_report.json").exists()
    # What is trained already is only validated.
    monkeypatch.setattr(FinetuneTrainer, "run_training", None)
    again = measure.train(listed[wanted[2]], nnunet_folders, "cpu")
    assert again["found"] == found["found"]
