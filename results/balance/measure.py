"""Pretrains and fine-tunes for results/balance: one process per training, several at a time.

    python results/balance/measure.py STAGE -o FOLDER [--jobs N] [--device cuda] [--minutes M]

STAGE is pretrain (stage 1), finetune (stage 2, from pretrainings that are twice as long) or check
(the default for 990 steps on four data sets, on one of them in 3D too). Every finished training
leaves FOLDER/<name>.json and is not repeated; an interrupted one is begun anew, but for its
validation.
nnU-Net's three folders are set, and the data sets are planned and preprocessed.
"""

import argparse
import json
import math
import multiprocessing
import os
import sys
import time
import traceback
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from jobs import NAMES, POOL, STAGES, Job
from nnunetv2.paths import nnUNet_preprocessed
from shrink_plans import shrink_plans

# Base features, most features, longest side of the patch, and images of a segmentation's step.
SIZES = {"2d": (8, 64, 48, 4), "3d_fullres": (8, 64, 32, 2)}
ITERATIONS_PER_EPOCH = 250


def plans_of(job: Job) -> dict:
    """The small plans of a job's data set, with its settings."""
    plans_name = "nnUNetPlans_unlabelled" if job.data == POOL else "nnUNetPlans"
    path = Path(nnUNet_preprocessed) / NAMES[job.data] / f"{plans_name}.json"
    plans = json.loads(path.read_text(encoding="utf-8"))
    plans = {
        **plans,
        "continue_training": False,
        "configurations": {job.configuration: plans["configurations"][job.configuration]},
    }
    settings = deepcopy(job.settings)
    return shrink_plans(plans, f"Balance-{job.name}", *SIZES[job.configuration], settings)


def train(job: Job, folder: Path, device: str) -> dict[str, Any]:
    """Runs a job and says what came of it."""
    import torch

    from nnunetv2_pcrl import trainers
    from nnunetv2_pcrl.monitoring.charts import last_finite

    torch.set_num_threads(1)
    dataset = Path(nnUNet_preprocessed) / NAMES[job.data] / "dataset.json"
    began = time.time()
    plans = plans_of(job)
    if job.starts_from:
        source = json.loads((folder / f"{job.starts_from}.json").read_text(encoding="utf-8"))
        sections = plans["configurations"][job.configuration]["nnunetv2_pcrl"]
        weights = Path(source["output_folder"]) / "pretrained_weights.pth"
        sections["finetune"]["weights"] = str(weights)
    trainer = getattr(trainers, job.trainer)(
        plans,
        job.configuration,
        job.fold,
        json.loads(dataset.read_text(encoding="utf-8")),
        torch.device(device),
    )
    if "Pretrain" in job.trainer:
        trainer.run_training()
        logged = trainer.logger.local_logger.my_fantastic_logging
        lasts = {key: last_finite(values) for key, values in logged.items()}
        found = {key: value for key, value in lasts.items() if value is not None}
        record = json.loads((Path(trainer.output_folder) / "monitoring.json").read_text())
        found["probe_before"] = (record.get("probe_before") or {}).get("mean")
    else:
        # Pseudo Dice after every epoch is not looked at; mirrored, each case would take four times
        # as long as it does.
        trainer.num_iterations_per_epoch = ITERATIONS_PER_EPOCH
        trainer.num_val_iterations_per_epoch = 2
        final = Path(trainer.output_folder) / "checkpoint_final.pth"
        if final.is_file():
            trainer.load_checkpoint(str(final))
        else:
            trainer.run_training()
        trainer.inference_allowed_mirroring_axes = None
        trainer.perform_actual_validation(False)
        summary = Path(trainer.output_folder) / "validation" / "summary.json"
        found = {"dice": json.loads(summary.read_text())["foreground_mean"]["Dice"]}
        found["dice_per_case"] = [
            sum(v["Dice"] for v in case["metrics"].values()) / len(case["metrics"])
            for case in json.loads(summary.read_text())["metric_per_case"]
        ]
    return {
        **asdict(job),
        "found": found,
        "seconds": time.time() - began,
        "output_folder": str(trainer.output_folder),
    }


def run(job: Job, folder: Path, device: str) -> None:
    """Runs a job in this process; its output goes into a file."""
    with open(folder / f"{job.name}.log", "w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            result = train(job, folder, device)
        except BaseException:
            traceback.print_exc()
            raise
    temporary = folder / f"{job.name}.json.part"
    temporary.write_text(json.dumps(result), encoding="utf-8")
    temporary.replace(folder / f"{job.name}.json")


def run_all(jobs: list[Job], folder: Path, num_jobs: int, device: str, minutes: float) -> None:
    """Runs what is not finished, until the time is over; what then runs is ended."""
    folder.mkdir(parents=True, exist_ok=True)
    end = time.time() + 60 * minutes
    left = [job for job in jobs if not (folder / f"{job.name}.json").is_file()]
    running: dict[str, multiprocessing.Process] = {}
    context = multiprocessing.get_context("spawn")
    while (left or running) and time.time() < end:
        for name, process in [*running.items()]:
            if not process.is_alive():
                print(f"{name}: exit {process.exitcode}", flush=True)
                del running[name]
        while left and len(running) < num_jobs:
            ready = [
                j for j in left if not j.starts_from or (folder / f"{j.starts_from}.json").is_file()
            ]
            if not ready:
                break
            left.remove(ready[0])
            process = context.Process(target=run, args=(ready[0], folder, device))
            process.start()
            running[ready[0].name] = process
        time.sleep(0.2)
    for process in running.values():
        process.terminate()
    print(f"{len(jobs) - len(left) - len(running)} of {len(jobs)} trainings are done", flush=True)


def main() -> None:
    """Runs a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("-o", dest="folder", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: 2)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=math.inf, help="when to stop")
    args = parser.parse_args()
    os.environ |= {"nnUNet_n_proc_DA": "0"}
    run_all(STAGES[args.stage](), args.folder, args.jobs, args.device, args.minutes)


if __name__ == "__main__":
    main()
