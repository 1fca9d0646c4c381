"""Writes nnUNetPlansCPU: nnU-Net's own 2D plan of Hippocampus, small enough for a CPU.

    python results/hippocampus/make_plans.py

Features are halved (16 to 128) and the batch has 4 slices, where nnU-Net plans for a GPU. The
pretraining compares 32 slices in 25 steps an epoch. Everything else is as planned.
"""

import json
from pathlib import Path

from nnunetv2.paths import nnUNet_preprocessed


def main() -> None:
    """Reads nnUNetPlans.json of Dataset004_Hippocampus and writes nnUNetPlansCPU.json beside it."""
    folder = Path(nnUNet_preprocessed.require()) / "Dataset004_Hippocampus"
    plans = json.loads((folder / "nnUNetPlans.json").read_text(encoding="utf-8"))
    configuration = plans["configurations"]["2d"]
    configuration["batch_size"] = 4
    configuration["architecture"]["arch_kwargs"]["features_per_stage"] = [16, 32, 64, 128]
    configuration["nnunetv2_pcrl"] = {
        "pcrlv2": {
            "batch_size": 32,
            "num_iterations_per_epoch": 25,
            "num_val_iterations_per_epoch": 4,
            "views_at_a_time": 32,
        }
    }
    plans |= {"plans_name": "nnUNetPlansCPU", "configurations": {"2d": configuration}}
    path = folder / "nnUNetPlansCPU.json"
    path.write_text(json.dumps(plans, indent=4), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
