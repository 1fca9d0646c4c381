"""Pretrains and fine-tunes for results/balance: one process per training, several at a time.

    python results/balance/measure.py STAGE -o FOLDER [--jobs N] [--device cuda] [--minutes M]

STAGE is pretrain (stage 1), finetune (stage 2) or check (the defaults on four data sets). Every
finished training leaves FOLDER/<name>.json and is not repeated; an interrupted one is begun anew.
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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from nnunetv2.paths import nnUNet_preprocessed
from shrink_plans import shrink_plans

NAMES = {4: "Dataset004_Hippocampus", 103: "Dataset103_ACDC"}
# Base features, most features, longest side of the patch, batch of a segmentation.
SIZES = {"2d": (8, 64, 64, 8)}
BATCH = {"2d": 16}
STEPS_PER_EPOCH, EPOCHS = 30, 10
WEIGHTS = (5.0, 1.0, 0.2, 0.05)
OPTIMIZERS = (("sgd", 1e-2), ("sgd", 3e-2), ("adamw", 1e-3))
FINETUNE_EPOCHS = 10
OLD = "w1_sgd0.01"
# Label folds behind those of nnU-Net.
FIRST_LABEL_FOLD = {4: 5, 103: 5}


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        name: of its result.
        data: number of the data set.
        configuration: of the plans.
        trainer: by name.
        fold: number.
        settings: sections of the plans file.
        starts_from: name of the pretraining whose weights are taken; empty for none.
    """

    name: str
    data: int
    configuration: str
    trainer: str
    fold: int
    settings: dict[str, Any] = field(default_factory=dict)
    starts_from: str = ""


def pretraining(name: str, data: int, configuration: str, method: str, seed: int, **own) -> Job:
    """A pretraining on the training cases of fold 0; `own` are settings of the method."""
    common = {
        "num_epochs": EPOCHS,
        "num_iterations_per_epoch": STEPS_PER_EPOCH,
        "num_val_iterations_per_epoch": 4,
        "batch_size": BATCH[configuration],
        "views_at_a_time": BATCH[configuration],
        "probe_every": EPOCHS,
        "pictures_every": 0,
        "gradients_every": 1,
    }
    section = {"PCRLv2": "pcrlv2", "MAE": "mae", "ModelsGenesis": "models_genesis"}[method]
    return Job(
        f"{name}_seed{seed}",
        data,
        configuration,
        f"{method}PretrainTrainer_seed{seed}",
        0,
        {"pretraining": common, section: own},
    )


def stage_1() -> list[Job]:
    """Weights x optimisers on both data sets."""
    return [
        pretraining(
            f"{data}_2d_w{weight:g}_{optimizer}{rate:g}",
            data,
            "2d",
            "PCRLv2",
            0,
            restoration_weight=weight,
            optimizer=optimizer,
            initial_lr=rate,
        )
        for data, weight, (optimizer, rate) in itertools.product(NAMES, WEIGHTS, OPTIMIZERS)
    ]


def plans_of(job: Job) -> dict:
    """The small plans of a job's data set, with its settings."""
    path = Path(nnUNet_preprocessed) / NAMES[job.data] / "nnUNetPlans.json"
    plans = json.loads(path.read_text(encoding="utf-8"))
    plans = {
        **plans,
        "continue_training": False,
        "configurations": {job.configuration: plans["configurations"][job.configuration]},
    }
    features, most, patch, batch = SIZES[job.configuration]
    settings = deepcopy(job.settings)
    return shrink_plans(plans, f"Balance-{job.name}", features, most, patch, batch, settings)


def train(job: Job, folder: Path, device: str) -> dict[str, Any]:
    """Runs a job and says what came of it."""
    import torch

    from nnunetv2_pcrl import trainers

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
        lasts = {key: last(values) for key, values in logged.items()}
        found = {key: value for key, value in lasts.items() if value is not None}
        record = json.loads((Path(trainer.output_folder) / "monitoring.json").read_text())
        found["probe_before"] = (record.get("probe_before") or {}).get("mean")
    else:
        # Pseudo Dice after every epoch is not looked at.
        trainer.num_val_iterations_per_epoch = 2
        trainer.run_training()
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


def last(values: list) -> float | None:
    """The last finite number of a log."""
    numbers = [v for v in values if isinstance(v, float) and math.isfinite(v)]
    return numbers[-1] if numbers else None


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


def choose(folder: Path) -> list[str]:
    """The two settings that go on to stage 2, by the rule of protocol.md."""
    scores: dict[str, list[tuple[float, float]]] = {}
    for path in folder.glob("*_2d_w*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        found = result["found"]
        retrieval = max(v for key, v in found.items() if key.startswith("val_retrieval"))
        name = result["name"].split("_2d_")[1].rsplit("_seed", 1)[0]
        scores.setdefault(name, []).append((result["data"], found["probe_dice"], retrieval))
    names = sorted(name for name, found in scores.items() if len({d for d, *_ in found}) == 2)
    # Ranks within each data set and measure; the old default takes part as itself.
    totals = dict.fromkeys(names, 0.0)
    for data, measure in itertools.product((4, 103), (1, 2)):
        values = {
            n: fmean(f[measure] for f in scores[n] if f[0] == data) for n in names if n != OLD
        }
        for name, value in values.items():
            totals[name] += sum(other < value for other in values.values())
    totals.pop(OLD, None)
    return sorted(totals, key=totals.__getitem__)[-2:][::-1]


def own_settings(name: str) -> dict[str, Any]:
    """Settings of PCRLv2 that a name of the grid stands for."""
    weight, optimizer = name.split("_")
    kind = "adamw" if optimizer.startswith("adamw") else "sgd"
    return {
        "restoration_weight": float(weight[1:]),
        "optimizer": kind,
        "initial_lr": float(optimizer.removeprefix(kind)),
    }


def stage_2(folder: Path) -> list[Job]:
    """Fine-tunings of the old default, the two best, MAE and Models Genesis, and the twin."""
    best = choose(folder)
    print(f"the best two of stage 1: {best}", flush=True)
    arms = {"old": OLD, **{f"best{n + 1}": name for n, name in enumerate(best)}}
    jobs = []
    for data in (4, 103):
        for name in dict.fromkeys(arms.values()):
            job = pretraining(f"{data}_long_{name}", data, "2d", "PCRLv2", 0, **own_settings(name))
            jobs.append(longer(job))
        for method in ("MAE", "ModelsGenesis"):
            jobs.append(longer(pretraining(f"{data}_long_{method}", data, "2d", method, 0)))
    for draw, data in itertools.product(range(8), (4, 103)):
        jobs.append(finetuning(data, draw, "twin", "PCRLv2", ""))
        for arm, name in arms.items():
            jobs.append(finetuning(data, draw, arm, "PCRLv2", f"{data}_long_{name}_seed0"))
        if draw < 4:
            for method, transfer in itertools.product(
                ("MAE", "ModelsGenesis"), ("encoder", "encoder_decoder")
            ):
                source = f"{data}_long_{method}_seed0"
                arm = f"{method}_{transfer}"
                jobs.append(finetuning(data, draw, arm, method, source, transfer=transfer))
    # What the question is about first.
    return sorted(
        jobs, key=lambda j: ("long" not in j.name, "MAE" in j.name or "Genesis" in j.name)
    )


def longer(job: Job) -> Job:
    """The same, three times as long."""
    sections = {**job.settings, "pretraining": {**job.settings["pretraining"]}}
    sections["pretraining"] |= {"num_epochs": 3 * EPOCHS, "probe_every": 3 * EPOCHS}
    return replace(job, settings=sections)


def finetuning(data: int, draw: int, arm: str, method: str, starts_from: str, **settings) -> Job:
    """A fine-tuning on 5 labelled cases; equal draws share cases and random numbers."""
    words = "" if starts_from else "_fromScratch"
    return Job(
        f"{data}_5cases_draw{draw}_{arm}",
        data,
        "2d",
        f"{method}FinetuneTrainer_{FINETUNE_EPOCHS}epochs{words}_seed{draw}",
        FIRST_LABEL_FOLD[data] + draw,
        {"finetune": settings},
        starts_from,
    )


STAGES = {"pretrain": lambda folder: stage_1(), "finetune": stage_2}


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
    run_all(STAGES[args.stage](args.folder), args.folder, args.jobs, args.device, args.minutes)


if __name__ == "__main__":
    main()
