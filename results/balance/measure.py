"""Pretrains and fine-tunes for results/balance: one process per training, several at a time.

    python results/balance/measure.py STAGE -o FOLDER [--jobs N] [--device cuda] [--minutes M]

STAGE is pretrain (stage 1), finetune (stage 2, from pretrainings that are twice as long) or check
(the default for 990 steps on four data sets). Every finished training leaves FOLDER/<name>.json
and is not repeated; an interrupted one is begun anew, but for its validation.
nnU-Net's three folders are set, and the data sets are planned and preprocessed.
"""

import argparse
import itertools
import json
import math
import multiprocessing
import os
import sys
import time
import traceback
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from nnunetv2.paths import nnUNet_preprocessed
from shrink_plans import shrink_plans

from nnunetv2_pcrl.methods.registry import method_named

NAMES = {
    4: "Dataset004_Hippocampus",
    103: "Dataset103_ACDC",
    105: "Dataset105_CXRLung2D",
    901: "Dataset901_DemoCT",
}
TUNED_ON = (4, 103)
CONFIGURATION = "2d"
# Base features, most features, longest side of the patch.
SIZE = (8, 64, 48)
# Images of a segmentation's step and of a pretraining's.
SEGMENTATION_BATCH, BATCH = 4, 16
STEPS_PER_EPOCH, EPOCHS, LONG_EPOCHS, CHECK_EPOCHS = 30, 10, 20, 33
WEIGHTS = (5.0, 1.0, 0.2, 0.05)
OPTIMIZERS = (("sgd", 1e-2), ("sgd", 3e-2), ("adamw", 1e-3))
# Of PCRLv2: the default, and what stage 1 chose.
DEFAULT, STAGE_1 = "w1_sgd0.01", "w5_sgd0.01"
# Methods that are fine-tuned beside it, and their settings; the first two keep a decoder too.
RESTORING = ("MAE", "ModelsGenesis")
COMPANIONS = {
    **{name: (name, {}) for name in (*RESTORING, "SimCLR", "VoCo")},
    "MAE_densified": ("MAE", {"densified": True}),
}
# What the default is without one of its sides, on ACDC alone.
ABLATIONS = {
    "restorationOnly": {"comparison_weight": 0.0},
    "comparisonOnly": {"restoration_weight": 0.0},
}
ABLATED_ON = 103
# Other ways to fine-tune the default's encoder: settings by name.
SCHEDULES = {
    "frozen": {"freeze_encoder_epochs": 3},
    "sawtooth": {"sawtooth": True},
}
FINETUNE_EPOCHS, ITERATIONS_PER_EPOCH, NUM_DRAWS = 10, 250, 8
# The label folds stand behind those of nnU-Net.
FIRST_LABEL_FOLD = 5


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        name: of its result.
        data: number of the data set.
        trainer: by name.
        fold: number.
        settings: sections of the plans file.
        starts_from: name of the pretraining whose weights are taken; empty for none.
    """

    name: str
    data: int
    trainer: str
    fold: int
    settings: dict[str, Any] = field(default_factory=dict)
    starts_from: str = ""


def pretraining(name: str, data: int, method: str, num_epochs: int, **own: Any) -> Job:
    """A pretraining on the training cases of fold 0; `own` are settings of the method."""
    common = {
        "num_epochs": num_epochs,
        "num_iterations_per_epoch": STEPS_PER_EPOCH,
        "num_val_iterations_per_epoch": 4,
        "batch_size": BATCH,
        "views_at_a_time": BATCH,
        "probe_every": num_epochs,
        "pictures_every": 0,
        "gradients_every": 1,
    }
    section = method_named(method).about.section
    return Job(
        f"{name}_seed0",
        data,
        f"{method}PretrainTrainer_seed0",
        0,
        {"pretraining": common, section: own},
    )


def stage_1() -> list[Job]:
    """Weights x optimisers on both data sets."""
    return [
        pretraining(
            f"{data}_2d_w{weight:g}_{optimizer}{rate:g}",
            data,
            "PCRLv2",
            EPOCHS,
            restoration_weight=weight,
            optimizer=optimizer,
            initial_lr=rate,
        )
        for data, weight, (optimizer, rate) in itertools.product(TUNED_ON, WEIGHTS, OPTIMIZERS)
    ]


def check() -> list[Job]:
    """The default on four data sets, for 990 steps."""
    return [named_pretraining("check", data, DEFAULT, CHECK_EPOCHS) for data in NAMES]


def plans_of(job: Job) -> dict:
    """The small plans of a job's data set, with its settings."""
    path = Path(nnUNet_preprocessed) / NAMES[job.data] / "nnUNetPlans.json"
    plans = json.loads(path.read_text(encoding="utf-8"))
    plans = {
        **plans,
        "continue_training": False,
        "configurations": {CONFIGURATION: plans["configurations"][CONFIGURATION]},
    }
    settings = deepcopy(job.settings)
    return shrink_plans(plans, f"Balance-{job.name}", *SIZE, SEGMENTATION_BATCH, settings)


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
        sections = plans["configurations"][CONFIGURATION]["nnunetv2_pcrl"]
        weights = Path(source["output_folder"]) / "pretrained_weights.pth"
        sections["finetune"]["weights"] = str(weights)
    trainer = getattr(trainers, job.trainer)(
        plans,
        CONFIGURATION,
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


def own_settings(name: str) -> dict[str, Any]:
    """Settings of PCRLv2 that a name of the grid stands for."""
    weight, optimizer = name.split("_")
    kind = "adamw" if optimizer.startswith("adamw") else "sgd"
    return {
        "restoration_weight": float(weight[1:]),
        "optimizer": kind,
        "initial_lr": float(optimizer.removeprefix(kind)),
    }


def named_pretraining(kind: str, data: int, name: str, num_epochs: int) -> Job:
    """Of another length than in stage 1: `name` is a setting of PCRLv2 there, one of its ablations,
    or another method.
    """
    if name in COMPANIONS:
        method, own = COMPANIONS[name]
    else:
        method, own = "PCRLv2", ABLATIONS[name] if name in ABLATIONS else own_settings(name)
    return pretraining(f"{data}_{kind}_{name}", data, method, num_epochs, **own)


def long_pretraining(data: int, name: str) -> Job:
    """That of stage 2, twice as long as in stage 1."""
    return named_pretraining("long", data, name, LONG_EPOCHS)


def stage_2() -> list[Job]:
    """Fine-tunings of PCRLv2 with both weights, of its companions, and the twin.

    What the question is about comes first.
    """
    jobs = [long_pretraining(*both) for both in itertools.product(TUNED_ON, (STAGE_1, DEFAULT))]
    for draw, data in itertools.product(range(NUM_DRAWS), TUNED_ON):
        jobs.append(finetuning(data, draw, "twin", "PCRLv2", ""))
        for name in (STAGE_1, DEFAULT):
            jobs.append(finetuning(data, draw, name, "PCRLv2", f"{data}_long_{name}_seed0"))
    some = range(NUM_DRAWS // 2)

    def of_companion(name: str, transfer: str) -> list[Job]:
        own = [long_pretraining(data, name) for data in TUNED_ON]
        arm, method = f"{name}_{transfer}", COMPANIONS[name][0]
        return own + [
            finetuning(job.data, draw, arm, method, job.name, transfer=transfer)
            for draw, job in itertools.product(some, own)
        ]

    for name, transfer in itertools.product(RESTORING, ("encoder", "encoder_decoder")):
        jobs += [job for job in of_companion(name, transfer) if job not in jobs]
    jobs += of_companion("SimCLR", "encoder") + of_companion("VoCo", "encoder")
    for draw, data, name in itertools.product(some, TUNED_ON, SCHEDULES):
        source = f"{data}_long_{DEFAULT}_seed0"
        jobs.append(finetuning(data, draw, name, "PCRLv2", source, **SCHEDULES[name]))
    jobs += of_companion("MAE_densified", "encoder")
    jobs += [long_pretraining(ABLATED_ON, name) for name in ABLATIONS]
    for draw, name in itertools.product(some, ABLATIONS):
        source = f"{ABLATED_ON}_long_{name}_seed0"
        jobs.append(finetuning(ABLATED_ON, draw, name, "PCRLv2", source))
    return jobs


def finetuning(data: int, draw: int, arm: str, method: str, starts_from: str, **settings) -> Job:
    """A fine-tuning on 5 labelled cases; equal draws share cases and random numbers."""
    words = "" if starts_from else "_fromScratch"
    return Job(
        f"{data}_5cases_draw{draw}_{arm}",
        data,
        f"{method}FinetuneTrainer_{FINETUNE_EPOCHS}epochs{words}_seed{draw}",
        FIRST_LABEL_FOLD + draw,
        {"finetune": settings},
        starts_from,
    )


STAGES = {"pretrain": stage_1, "check": check, "finetune": stage_2}


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
