"""The commands and the script of docs/how-to/nodules.md run, with smaller numbers."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from published import write_csv
from raw_images import write_image

from nnunetv2_pcrl.cli.convert import luna16
from nnunetv2_pcrl.cli.evaluate_nodules import main as evaluate_nodules
from nnunetv2_pcrl.cli.plan_and_preprocess import main as plan_and_preprocess
from nnunetv2_pcrl.tasks.nodules.candidates import planned_cubes

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "nodules.md"
COMMANDS = {
    "nnUNetv2_pcrl_convert_luna16": luna16,
    "nnUNetv2_pcrl_plan_and_preprocess": plan_and_preprocess,
    "nnUNetv2_pcrl_evaluate_nodules": evaluate_nodules,
}
# Numbers of the page, and what takes their place in a test.
SMALLER = {
    "0, 10_000, 40": "0, 2, 8",
    "seed=0), 24,": "seed=0), 3,",
    "num_workers=8": "num_workers=0",
}
POSITION = ["seriesuid", "coordX", "coordY", "coordZ"]
SIZE = (24, 28, 32)


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"```{language}[^\n]*\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )


def run(line: str, *more: str) -> None:
    """A command of the page, in this process."""
    name, *arguments = shlex.split(line, comments=True)
    COMMANDS[name]([*arguments, *more])


@pytest.fixture
def downloads(nnunet_folders, monkeypatch):
    """Four scans in two subsets, each with a bright nodule and a dark candidate."""
    monkeypatch.chdir(nnunet_folders)
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
def test_the_page_runs_from_the_download_to_the_score(downloads, one_thread):
    convert, prepare = blocks("bash")[0].strip().splitlines()
    run(convert, "-np", "1", "--subset")
    run(prepare, "-np", "1")
    (script,) = blocks("python")
    for number, smaller in SMALLER.items():
        assert number in script
        script = script.replace(number, smaller)
    exec(compile(script, str(PAGE), "exec"), {})
    scores = (downloads / "scores.csv").read_text().splitlines()
    assert scores[0] == "seriesuid,coordX,coordY,coordZ,probability"
    assert [line.split(",")[0] for line in scores[1:]] == ["1.2.0", "1.2.0", "1.2.1", "1.2.1"]
    (downloads / "all.csv").write_text("\n".join(scores))
    one, every = blocks("bash")[1].strip().splitlines()
    run(one.replace("$nnUNet_raw", str(downloads / "nnUNet_raw")), "--resamples", "10")
    run(every, "--resamples", "10")
    summaries = [
        json.loads((downloads / name / "summary.json").read_text())
        for name in ("RESULTS", "RESULTS_ALL")
    ]
    assert [s["num_scans"] for s in summaries] == [2, 4]
    assert [s["num_found"] for s in summaries] == [2, 2]
    plans_file = (
        downloads / "nnUNet_preprocessed" / "Dataset016_LUNA16" / "nnUNetPlans_unlabelled.json"
    )
    table = downloads / "nnUNet_raw" / "Dataset016_LUNA16" / "candidates.csv"
    with pytest.raises(ValueError, match="has no configuration 3d_lowres"):
        planned_cubes(table, plans_file, "3d_lowres", 40)
    with pytest.raises(ValueError, match="has no candidate in these scans"):
        planned_cubes(table, plans_file, "3d_fullres", 40, ["1.2.9"])
    cubes = planned_cubes(table, plans_file, "3d_fullres", 3)
    brightness = [float(cube.mean()) for cube, _ in cubes]
    assert (np.array(brightness[::2]) > np.array(brightness[1::2])).all()
