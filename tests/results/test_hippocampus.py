"""The commands of results/hippocampus, as the page prints them, on few images of few voxels."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from commands import ENVIRONMENT, write_forked_program
from nnunetv2.evaluation.evaluate_predictions import compute_metrics
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "results" / "hippocampus" / "README.md"
NAME = "Dataset004_Hippocampus"
# What is printed, and fewer runs of the same kinds.
SMALLER = {
    "--cases 3 5 10 20 50": "--cases 3 5 20",
    "--repeats 6": "--repeats 2",
    "--repeats 3": "--repeats 1",
}
CASES = ("3", "5", "20")
# Each would import all of PyTorch and nnU-Net; those that do so in tests/end_to_end are enough.
FORKED = [
    "nnUNetv2_plan_and_preprocess",
    *(f"nnUNetv2_pcrl_{name}" for name in ("label_folds", "experiment", "compare")),
]
# Fold 0 has to have 20 training cases.
NUM_CASES = 25
SHAPE = (8, 20, 16)


def segmentation(shift: int) -> np.ndarray:
    """Two boxes, moved along the second axis."""
    array = np.zeros(SHAPE, np.uint8)
    array[2:6, 3 + shift : 9 + shift, 4:12] = 1
    array[2:6, 12:16, 4:12] = 2
    return array


def write(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), path)


@pytest.fixture
def prepared(tmp_path):
    """Raw images, what the stand-in predicts, and the scripts of the page, all in one folder."""
    raw, ready = tmp_path / "nnUNet_raw" / NAME, tmp_path / "ready"
    cases = [f"hippocampus_{number:03d}" for number in range(NUM_CASES)]
    noise = np.random.default_rng(0)
    metrics = {"scratch": {}, "pretrained": {}}
    for number, case in enumerate(cases):
        reference = raw / "labelsTr" / f"{case}.nii.gz"
        write(segmentation(0), reference)
        image = noise.normal(100.0 * segmentation(0), 10).astype(np.float32)
        write(image, raw / "imagesTr" / f"{case}_0000.nii.gz")
        for kind, shift in (("scratch", 1 + number % 2), ("pretrained", number % 2)):
            prediction = ready / kind / f"{case}.nii.gz"
            write(segmentation(shift), prediction)
            found = compute_metrics(str(reference), str(prediction), SimpleITKIO(), [1, 2])
            metrics[kind][case] = {
                label: {name: float(value) for name, value in values.items()}
                for label, values in found["metrics"].items()
            }
    for kind, by_case in metrics.items():
        (ready / kind / "metrics.json").write_text(json.dumps(by_case))
    content = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
        "numTraining": NUM_CASES,
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(content))
    checkpoint = {"network_weights": {"layer": torch.zeros(1)}, "trainer_name": "stand-in"}
    checkpoint["logging"] = {"mean_fg_dice": [0.1, 0.5]}
    torch.save(checkpoint, ready / "checkpoint.pth")
    shutil.copytree(PAGE.parent, tmp_path / "results" / "hippocampus")
    return tmp_path


def test_the_commands_of_the_page_run_as_they_are_printed(prepared):
    (commands,) = re.findall(r"^```\w*\n(export .*?)^```", PAGE.read_text(), re.M | re.S)
    for printed, smaller in SMALLER.items():
        assert printed in commands
        commands = commands.replace(printed, smaller)
    programs = prepared / "bin"
    programs.mkdir()
    training = programs / "nnUNetv2_train"
    source = Path(__file__).with_name("stand_in_training.py").read_text()
    training.write_text(f"#!{sys.executable} -IS\n{source}")
    training.chmod(0o755)
    for command in FORKED:
        write_forked_program(programs, command)
    folders = {name: str(prepared / name) for name in ("nnUNet_raw", "nnUNet_preprocessed")}
    folders["nnUNet_results"] = str(prepared / "nnUNet_results")
    for folder in folders.values():
        Path(folder).mkdir(exist_ok=True)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        **os.environ,
        **ENVIRONMENT,
        **folders,
        "PATH": path,
        "STAND_IN": str(prepared / "ready"),
    }
    environment.pop("nnUNet_n_proc_DA", None)

    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=prepared,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    assert done.returncode == 0, done.stdout[-3000:]
    kept = prepared / "results" / "hippocampus"
    table, old = ((folder / "table.csv").read_text() for folder in (kept, PAGE.parent))
    # There may be columns that came later than the kept table.
    columns, kept_columns = (text.splitlines()[0].split(",") for text in (table, old))
    assert set(kept_columns) <= set(columns)
    assert columns[:3] == kept_columns[:3]
    arms, known = ({tuple(r.split(",")[:3]) for r in t.splitlines()[1:]} for t in (table, old))
    assert arms == {arm for arm in known if arm[2] in CASES}
    assert (kept / "dice_over_labels.png").stat().st_size > 10_000
    weights = "PCRLv2PretrainTrainer_40epochs__nnUNetPlansCPU__2d/fold_0/pretrained_weights.pth"
    assert (prepared / "nnUNet_results" / NAME / weights).is_file()
