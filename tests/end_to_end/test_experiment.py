"""An experiment of two methods on two data sets with nnU-Net's own nnUNetv2_train, forked."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import write_forked_program

from nnunetv2_pcrl.label_folds.files import table_of, write_folds
from nnunetv2_pcrl.label_folds.table import LabelFold

pytest.importorskip("snakemake", reason="Snakemake 9 needs Python 3.11")

pytestmark = pytest.mark.slow

DATA_SETS = {901: "Dataset901_DemoCT", 902: "Dataset902_DemoMR"}
METHODS = {"ShortFinetuneTrainer": "PCRLv2", "ShortMAEFinetuneTrainer": "MAE"}


@pytest.fixture
def prepared(experiment, generated, tmp_path):
    """Both sets, each with two of fold 0's training cases as a label fold."""
    for number, name in DATA_SETS.items():
        folder = shutil.copytree(generated.preprocessed / name, experiment.preprocessed / name)
        experiment.shrink(number, "nnUNetPlans", num_epochs=1)
        cases = sorted(path.name.split(".")[0] for path in folder.glob("gt_segmentations/*.nii.gz"))
        splits = [{"train": cases[1:stop], "val": cases[:1]} for stop in (len(cases), 3)]
        part = LabelFold(1, 0, 2, 2 / (len(cases) - 1), 0)
        write_folds(folder, splits, table_of(0, [part], splits))
    # Eight trainings, of which each would import everything, and so would its workers.
    programs = tmp_path / "bin"
    programs.mkdir()
    write_forked_program(programs, "nnUNetv2_train")
    environment = experiment.environment
    environment["PATH"] = os.pathsep.join([str(programs), environment["PATH"]])
    environment["nnUNet_n_proc_DA"] = "0"
    return experiment


def finished(folder: Path) -> set[str]:
    """Trainings, by their folder in nnUNet_results."""
    markers = (folder / "finished").rglob("fold_*")
    return {path.relative_to(folder / "finished").as_posix() for path in markers}


def test_an_experiment_is_killed_goes_on_and_gives_one_table(prepared, tmp_path):
    folder = tmp_path / "my_experiment"
    common = ["-d", "901", "902", "-c", "3d_fullres", "-p", "nnUNetPlansSmall"]
    arguments = [*common, "-device", "cpu", "--trainers", *METHODS, "--jobs", "2", "-o", folder]
    command = [sys.executable, "-m", "nnunetv2_pcrl.cli.experiment", *map(str, arguments)]
    process = subprocess.Popen(command, env=prepared.environment)
    while not finished(folder):
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    earlier = finished(folder)
    assert 0 < len(earlier) < 8

    text = prepared.run_ours("experiment", *arguments)
    assert "All trainings are finished. Compare the results with\n  nnUNetv2_pcrl_compare" in text
    assert len(finished(folder)) == 8
    for training in earlier:
        starts = re.findall(
            r"^\d{4}-.* nnUNetv2_train .*", (folder / f"logs/{training}.log").read_text(), re.M
        )
        assert len(starts) == 1, "what was finished is not repeated"
    for name in DATA_SETS.values():
        for trainer, method in METHODS.items():
            weights = prepared.result(name, f"{method}PretrainTrainer", "3d_fullres", 0)
            tuned = prepared.result(name, trainer, "3d_fullres", 1)
            report = json.loads((tuned / "transfer_report.json").read_text())
            assert report["weights"] == str(weights / "pretrained_weights.pth")
            assert (tuned / "validation" / "summary.json").is_file()
    assert prepared.run_ours("experiment", *arguments, "--print").count("nnUNetv2_train") == 0

    compare = [
        *common,
        "--twin",
        "ShortFinetuneTrainer",
        "--no_surface",
        "-o",
        folder / "comparison",
    ]
    prepared.run_ours("compare", *compare)
    table = (folder / "comparison" / "comparison.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert rows[0].startswith("| data set ") and not any("missing" in row for row in rows)
    assert all(re.search(rf"\| {name} +\| Dice ", table) for name in DATA_SETS.values())
