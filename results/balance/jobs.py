"""What results/balance trains: the jobs of each stage."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nnunetv2_pcrl.methods.registry import method_named

NAMES = {
    4: "Dataset004_Hippocampus",
    103: "Dataset103_ACDC",
    105: "Dataset105_CXRLung2D",
    190: "Dataset190_MRPool",
    901: "Dataset901_DemoCT",
}
TUNED_ON, POOL = (4, 103), 190
CHECKED_ON, IN_3D = (*TUNED_ON, 105, 901), 103
# Images of a step, and epochs of stage 1, of stage 2 and of the check.
BATCH, STEPS_PER_EPOCH, EPOCHS, LONG_EPOCHS, CHECK_EPOCHS = 16, 30, 10, 20, 33
WEIGHTS = (5.0, 1.0, 0.2)
OPTIMIZERS = (("sgd", 1e-2), ("sgd", 3e-2), ("adamw", 1e-3))
# Of PCRLv2: the default, what an earlier stage 1 chose, and what lowers both terms most since.
DEFAULT, STAGE_1, FASTER = "w1_sgd0.01", "w5_sgd0.01", "w1_sgd0.03"
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
# The default with every change of intensity in its 2D views twice as strong, and noise besides.
STRONGER_VIEWS = {
    "strongerViews": {"contrast": 0.8, "log_gamma": 0.6, "num_cut_outs": 6, "noise_std": 0.25},
}
# Other ways to fine-tune the default's encoder: settings by name.
SCHEDULES = {
    "frozen": {"freeze_encoder_epochs": 3},
    "sawtooth": {"sawtooth": True},
}
# Does a pretraining on the images of both data sets help more?
POOLED = (DEFAULT, "MAE")
# Does a longer pretraining help? 2400 steps of the default and 3600 of MAE.
LONGER_EPOCHS = {DEFAULT: 80, "MAE": 120}
FINETUNE_EPOCHS, NUM_DRAWS = 10, 8
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
        configuration: of the plans file.
    """

    name: str
    data: int
    trainer: str
    fold: int
    settings: dict[str, Any] = field(default_factory=dict)
    starts_from: str = ""
    configuration: str = "2d"


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
    """The default on four data sets, for 990 steps, and on one of them in 3D."""
    jobs = [named_pretraining("check", data, DEFAULT, CHECK_EPOCHS) for data in CHECKED_ON]
    volumes = named_pretraining("check_3d", IN_3D, DEFAULT, CHECK_EPOCHS)
    return [*jobs, replace(volumes, configuration="3d_fullres")]


def own_settings(name: str) -> dict[str, Any]:
    """Settings of PCRLv2 that a name of the grid stands for."""
    weight, optimizer = name.split("_")
    kind = "adamw" if optimizer.startswith("adamw") else "sgd"
    return {
        "restoration_weight": float(weight[1:]),
        "optimizer": kind,
        "initial_lr": float(optimizer.removeprefix(kind)),
    }


def method_of(name: str) -> tuple[str, dict[str, Any]]:
    """Method and own settings behind a name: a setting of PCRLv2 in stage 1, its default with
    something changed, or another method.
    """
    if name in COMPANIONS:
        return COMPANIONS[name]
    changed = {**ABLATIONS, **STRONGER_VIEWS}
    return "PCRLv2", changed[name] if name in changed else own_settings(name)


def named_pretraining(kind: str, data: int, name: str, num_epochs: int) -> Job:
    """Of another length than in stage 1, by a name that `method_of` knows."""
    method, own = method_of(name)
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

    def from_each(name: str, own: Mapping[int, Job], arm: str, **settings: Any) -> list[Job]:
        """Pretrainings, and a fine-tuning from its own per draw and data set."""
        return [*{job.name: job for job in own.values()}.values()] + [
            finetuning(data, draw, arm, method_of(name)[0], job.name, **settings)
            for draw, (data, job) in itertools.product(some, own.items())
        ]

    def on_each(name: str) -> dict[int, Job]:
        return {data: long_pretraining(data, name) for data in TUNED_ON}

    for name, transfer in itertools.product(RESTORING, ("encoder", "encoder_decoder")):
        found = from_each(name, on_each(name), f"{name}_{transfer}", transfer=transfer)
        jobs += [job for job in found if job not in jobs]
    for name in ("SimCLR", "VoCo"):
        jobs += from_each(name, on_each(name), f"{name}_encoder", transfer="encoder")
    for draw, data, name in itertools.product(some, TUNED_ON, SCHEDULES):
        source = f"{data}_long_{DEFAULT}_seed0"
        jobs.append(finetuning(data, draw, name, "PCRLv2", source, **SCHEDULES[name]))
    name = "MAE_densified"
    jobs += from_each(name, on_each(name), f"{name}_encoder", transfer="encoder")
    for name in ABLATIONS:
        jobs += from_each(name, {ABLATED_ON: long_pretraining(ABLATED_ON, name)}, name)
    for name, epochs in LONGER_EPOCHS.items():
        longer = {data: named_pretraining("longer", data, name, epochs) for data in TUNED_ON}
        jobs += from_each(name, longer, f"{name}_longer")
    for name in (FASTER, *STRONGER_VIEWS):
        jobs += from_each(name, on_each(name), name)
    for name in POOLED:
        jobs += from_each(
            name, dict.fromkeys(TUNED_ON, long_pretraining(POOL, name)), f"{name}_pooled"
        )
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
