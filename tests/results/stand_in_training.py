"""Stands in for nnUNetv2_train: predicts what lies ready, so that a page's commands take seconds.

It is started as a program, before all packages of the environment, and reads STAND_IN: a folder
with checkpoint.pth, and for "scratch" and "pretrained" predictions and metrics.json by case.
"""

import json
import os
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Leaves the files of a finished training in its result folder."""
    dataset_id, configuration, fold = sys.argv[1:4]
    trainer, plans = (sys.argv[sys.argv.index(option) + 1] for option in ("-tr", "-p"))
    ready = Path(os.environ["STAND_IN"])
    (preprocessed,) = Path(os.environ["nnUNet_preprocessed"]).glob(  # noqa: SIM112
        f"Dataset{int(dataset_id.removeprefix('Dataset')[:3]):03d}*"
    )
    results = Path(os.environ["nnUNet_results"]) / preprocessed.name  # noqa: SIM112
    # The plans and the configuration exist, or no training could begin.
    planned = json.loads((preprocessed / f"{plans}.json").read_text())
    assert configuration in planned["configurations"]
    folder = results / f"{trainer}__{plans}__{configuration}" / f"fold_{fold}"
    (folder / "validation").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ready / "checkpoint.pth", folder / "checkpoint_final.pth")
    if "PretrainTrainer" in trainer:
        shutil.copyfile(ready / "checkpoint.pth", folder / "pretrained_weights.pth")
        return
    if weights := os.environ.get("nnUNet_pcrl_weights"):  # noqa: SIM112
        (folder / "transfer_report.json").write_text(json.dumps({"weights": weights}))
    kind = "scratch" if trainer.startswith("nnUNetTrainer") else "pretrained"
    metrics = json.loads((ready / kind / "metrics.json").read_text())
    entries = []
    for case in json.loads((preprocessed / "splits_final.json").read_text())[int(fold)]["val"]:
        prediction = folder / "validation" / f"{case}.nii.gz"
        shutil.copyfile(ready / kind / prediction.name, prediction)
        reference = preprocessed / "gt_segmentations" / prediction.name
        files = {"reference_file": str(reference), "prediction_file": str(prediction)}
        entries.append({"metrics": metrics[case], **files})
    mean = sum(entry["metrics"]["1"]["Dice"] for entry in entries) / len(entries)
    summary = {
        "metric_per_case": entries,
        "mean": {"1": {"Dice": mean}},
        "foreground_mean": {"Dice": mean},
    }
    (folder / "validation" / "summary.json").write_text(json.dumps(summary))


if __name__ == "__main__":
    main()
