"""The table of results/methods, and the short trainings that it is made of."""

import csv
import json
from pathlib import Path

import page_copies
from method_runs import small_dataset

from nnunetv2_pcrl.methods.registry import method_named

FOLDER = page_copies.ROOT / "results" / "methods"


def write(path: Path, rows: list[tuple]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("method", "seed", "steps", "number", "before", "after"))
        writer.writerows(rows)
    return path


def test_runs_are_judged_by_what_they_are_where_nothing_is_learned(tmp_path, monkeypatch):
    path = write(
        tmp_path / "runs.csv",
        [
            ("SimCLR", 0, 60, "contrast_relative", 0.99, 0.9),
            ("SimCLR", 0, 60, "probe", 0.5, 0.6),
            ("SimCLR", 1, 60, "contrast_relative", 0.9, 1.1),
            ("SimCLR", 1, 60, "probe", 0.5, 0.4),
            ("VoCo", 0, 60, "positive", 0.3, 0.35),
            ("VoCo", 0, 60, "positive_of_constant", 0.39, 0.38),
            ("VoCo", 0, 60, "intra_relative", 1.2, 0.9),
            ("VoCo", 0, 60, "probe", 0.5, 0.6),
        ],
    )
    table = page_copies.script("methods", "table", monkeypatch)
    table.main([str(path)])
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert (
        "| SimCLR | 60 | contrast_relative | 1.0 | 0: 0.990 → 0.900, 1: 0.900 → 1.100 | 1 of 2 |"
        in text
    )
    assert "| SimCLR | 60 | probe | before | 0: 0.500 → 0.600, 1: 0.500 → 0.400 | 1 of 2 |" in text
    # Below what one similarity for all crops costs, though above its own first value.
    assert "| VoCo | 60 | positive | 0.380 | 0: 0.300 → 0.350 | 1 of 1 |" in text
    assert (tmp_path / "probe.svg").read_text().lstrip().startswith("<?xml")


def test_the_committed_table_is_made_of_the_committed_runs(monkeypatch):
    table = page_copies.script("methods", "table", monkeypatch)
    assert (FOLDER / "table.md").read_text() == table.table_of(
        table.read(FOLDER / "pretraining.csv")
    )


def test_a_short_training_is_measured_once(nnunet_folders, monkeypatch, capsys):
    measure = page_copies.script("methods", "measure", monkeypatch)
    monkeypatch.setattr(measure, "BATCH_SIZE", 3)
    monkeypatch.setattr(measure, "VALIDATION_BATCHES", 1)
    dataset = small_dataset(nnunet_folders, method_named("SimCLR"))
    cases = [f"case_{number}" for number in range(6)]
    split = [{"train": cases[:4], "val": cases[4:]}]
    (dataset.folder / "splits_final.json").write_text(json.dumps(split))
    out = nnunet_folders / "runs.csv"
    arguments = [str(dataset.folder), str(out), "--plans", "nnUNetPlans", "--methods", "SimCLR"]
    for _ in range(2):
        measure.main([*arguments, "--seeds", "1", "--steps", "2"])
    assert len(capsys.readouterr().out.splitlines()) == 1
    table = page_copies.script("methods", "table", monkeypatch)
    ((method, seed), run), *others = table.read(out).items()
    assert (method, seed) == ("SimCLR", "1") and not others
    assert run["contrast"][0] != run["contrast"][1] and 0 <= run["probe"][1] <= 1
