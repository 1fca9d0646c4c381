"""The commands of docs/how-to/nodules.md run, from a download to the score, with smaller plans."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from published import write_csv
from raw_images import write_image
from shrink_plans import shrink_plans

from nnunetv2_pcrl.cli.convert import luna16
from nnunetv2_pcrl.cli.evaluate_nodules import main as evaluate_nodules
from nnunetv2_pcrl.cli.plan_and_preprocess import main as plan_and_preprocess
from nnunetv2_pcrl.cli.predict_nodules import main as predict_nodules

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "nodules.md"
COMMANDS = {
    "nnUNetv2_pcrl_convert_luna16": luna16,
    "nnUNetv2_pcrl_plan_and_preprocess": plan_and_preprocess,
    "nnUNetv2_pcrl_predict_nodules": predict_nodules,
    "nnUNetv2_pcrl_evaluate_nodules": evaluate_nodules,
}
PLANS = "nnUNetPlans_unlabelled"
NODULES = {"cube_mm": 8, "batch_size": 3, "num_epochs": 1, "num_iterations_per_epoch": 2}
PRETRAINING = {"num_epochs": 1, "num_iterations_per_epoch": 1, "num_val_iterations_per_epoch": 1}
POSITION = ["seriesuid", "coordX", "coordY", "coordZ"]
SIZE = (24, 28, 32)


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"```{language}[^\n]*\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )


def run(line: str, *more: str) -> None:
    """A command of the page: ours in this process, nnU-Net's in one of its own."""
    name, *arguments = shlex.split(line, comments=True)
    if name in COMMANDS:
        COMMANDS[name]([*arguments, *more])
        return
    command = [str(Path(sys.executable).parent / name), *arguments, *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.fixture
def downloads(nnunet_folders, monkeypatch):
    """Four scans in two subsets, each with a bright nodule and a dark candidate."""
    monkeypatch.chdir(nnunet_folders)
    # Planning needs a worker.
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    source = nnunet_folders / "DOWNLOADS" / "LUNA16"
    random = np.random.default_rng(0)
    candidates, nodules = [[*POSITION, "class"]], [[*POSITION, "diameter_mm"]]
    for number in range(4):
        uid = f"1.2.{number}"
        array = random.normal(-800, 30, SIZE).astype(np.int16)
        array[10:14, 12:16, 14:18] = 100
        spacing, origin = (0.8, 0.8, 1.2), (-10.0 * number, 5.0, -100.0)
        write_image(source / f"subset{number // 2}" / f"{uid}.mhd", array, spacing, origin)
        places = {1: np.array([15.5, 13.5, 11.5]), 0: np.array([6.0, 22.0, 19.0])}
        for label, voxel in places.items():
            point = (np.array(origin) + voxel * spacing).tolist()
            candidates.append([uid, *point, label])
            nodules += [[uid, *point, 3.5]] if label else []
    write_csv(source / "candidates_V2.csv", candidates)
    for folder in (source, source.parent):
        write_csv(folder / "annotations.csv", nodules)
    (source.parent / "seriesuids.csv").write_text("\n".join(f"1.2.{n}" for n in range(4)))
    return nnunet_folders


@pytest.mark.slow
def test_the_page_runs_from_the_download_to_the_score(downloads, one_thread, monkeypatch):
    prepared, results = (
        downloads / name / "Dataset016_LUNA16" for name in ("nnUNet_preprocessed", "nnUNet_results")
    )
    preparing, training, judging = blocks("bash")
    convert, prepare = preparing.strip().splitlines()
    run(convert, "-np", "1", "--subset")
    run(prepare, "-np", "1")
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    shrink(prepared / f"{PLANS}.json")
    pretrain, train, _, predict = training.replace("\\\n", "").strip().splitlines()
    for line in (pretrain, train):
        run(line, "-device", "cpu")
    folder = results / f"PCRLv2NoduleTrainer__{PLANS}__3d_fullres" / "fold_0"
    report = json.loads((folder / "transfer_report.json").read_text())
    assert report["method"] == "PCRLv2"
    summary = json.loads((folder / "validation" / "summary.json").read_text())
    assert (summary["num_scans"], summary["num_found"]) == (2, 2)

    (downloads / "SCANS").symlink_to(downloads / "nnUNet_raw" / "Dataset016_LUNA16" / "imagesTr")
    (downloads / "CANDIDATES.csv").symlink_to(
        downloads / "DOWNLOADS" / "LUNA16" / "candidates_V2.csv"
    )
    run(predict.partition("-f ")[0], "-f", "0", "-device", "cpu", "-npp", "0")
    scores = (downloads / "scores.csv").read_text().splitlines()
    assert scores[0] == "seriesuid,coordX,coordY,coordZ,probability"
    assert [line.split(",")[0] for line in scores[1:]] == [f"1.2.{n // 2}" for n in range(8)]
    validated = (folder / "validation" / "scores.csv").read_text().splitlines()
    again = dict(line.rsplit(",", 1) for line in scores[1:])
    for line in validated[1:]:
        place, probability = line.rsplit(",", 1)
        assert float(again[place]) == pytest.approx(float(probability), abs=1e-3)

    (downloads / "all.csv").write_text("\n".join(scores))
    one, every = judging.strip().splitlines()
    run(one.replace("$nnUNet_raw", str(downloads / "nnUNet_raw")), "--resamples", "10")
    run(every, "--resamples", "10")
    for name in ("RESULTS", "RESULTS_ALL"):
        summary = json.loads((downloads / name / "summary.json").read_text())
        assert (summary["num_scans"], summary["num_found"]) == (4, 4)


def shrink(path: Path) -> None:
    """Makes the plans of the page small, under the same name."""
    sections = {"pretraining": PRETRAINING, "nodules": NODULES}
    small = shrink_plans(json.loads(path.read_text()), PLANS, 4, 8, 16, 2, sections)
    path.write_text(json.dumps(small))
