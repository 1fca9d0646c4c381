"""Runs what is missing of the grid, in one process, until the time is over.

python results/classification/measure.py MINUTES
"""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from nnunetv2.run.run_training import get_trainer_from_args
from runs import (
    ARMS,
    CONFIGURATION,
    DATASETS,
    FINETUNING,
    FOLD,
    PLANS,
    PROBE,
    SCRATCH,
    Run,
    grid,
    pretraining,
    table_of,
    training_cases,
    weights_of,
)
from sklearn.linear_model import LogisticRegression

from nnunetv2_pcrl.datasets.raw import write_table
from nnunetv2_pcrl.tasks.start import unwrapped

# Of the logistic regression, on standardised features.
INVERSE_PENALTY = 0.1
# Images that are predicted at once.
BATCH = 256


def trainer_of(dataset: str, name: str, fold: int):
    """A trainer as nnUNetv2_train makes it."""
    device = torch.device("cpu")
    return get_trainer_from_args(DATASETS[dataset], CONFIGURATION, fold, name, PLANS, device=device)


def pretrain(dataset: str, method: str) -> None:
    """Pretrains on the images of the fold, as nnUNetv2_train does."""
    trainer_of(dataset, pretraining(method), FOLD).run_training()


def finetune(run: Run) -> None:
    """Trains as nnUNetv2_train does, but for its checkpoints, and leaves predictions only."""
    trainer = trainer_of(run.dataset, run.trainer, run.label_fold.fold)
    trainer.disable_checkpointing = True
    trainer.run_training()
    network, images = unwrapped(trainer.network).eval(), inputs_of(run.dataset)
    cases = trainer.split.val.identifiers
    with torch.no_grad():
        stacked = torch.stack([images[case] for case in cases])
        logits = torch.cat([network(part) for part in stacked.split(BATCH)])
    write(run, cases, logits[:, 0].tolist())


@cache
def inputs_of(dataset: str) -> dict[str, torch.Tensor]:
    """What the networks of all runs see of the fold's cases, each of shape [C, H, W]."""
    run = next(run for run in grid(FINETUNING) if run.dataset == dataset)
    trainer = trainer_of(dataset, run.trainer, FOLD)
    trainer.initialize()
    reader, cases = trainer.reader(), [case for part in trainer.do_split() for case in part]
    return {case: next(reader.inputs(case))[1] for case in cases}


def write(run: Run, cases: Sequence[str], values: Sequence[float]) -> None:
    """Writes logits as a table."""
    run.predictions.parent.mkdir(parents=True, exist_ok=True)
    lines = [("identifier", table_of(run.dataset).names[0]), *zip(cases, values, strict=True)]
    write_table(run.predictions, lines)


@cache
def features_of(dataset: str, arm: str) -> dict[str, np.ndarray]:
    """Pooled features of all stages of the frozen encoder, by case, which the labels do not touch.

    Args:
        dataset: NIH or LUNA.
        arm: whose encoder; that of scratch is as initialised.
    """
    fold = next(run for run in grid(PROBE) if run.dataset == dataset and run.arm == arm).label_fold
    trainer = trainer_of(dataset, Run(dataset, arm, PROBE, fold).trainer, FOLD)
    trainer.on_train_start()
    network = unwrapped(trainer.network).eval()
    images = inputs_of(dataset)
    with torch.no_grad():
        parts = torch.stack(list(images.values())).split(BATCH)
        pooled = torch.cat([network.pooled(part) for part in parts]).numpy()
    return dict(zip(images, pooled, strict=True))


def probe(run: Run) -> None:
    """A logistic regression on the frozen encoder's features; the predictions as a table."""
    features, table = features_of(run.dataset, run.arm), table_of(run.dataset)
    train = table.of(training_cases(run))
    seen = np.stack([features[case] for case in train.identifiers])
    mean, spread = seen.mean(0), seen.std(0) + 1e-6
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=2000)
    model.fit((seen - mean) / spread, train.targets[:, 0])
    others = sorted(set(features) - set(training_cases_of_fold(run.dataset)))
    values = model.decision_function((np.stack([features[c] for c in others]) - mean) / spread)
    write(run, others, values.tolist())


@cache
def training_cases_of_fold(dataset: str) -> tuple[str, ...]:
    """All training cases of the fold."""
    largest = max(
        (run for run in grid(PROBE) if run.dataset == dataset),
        key=lambda run: run.label_fold.num_cases,
    )
    return tuple(training_cases(largest))


def main() -> None:
    """Command line."""
    end = monotonic() + 60 * float(sys.argv[1])
    jobs: list[tuple[Path, Callable, tuple]] = []
    for dataset in DATASETS:
        for arm in ARMS:
            if arm != SCRATCH:
                jobs.append((weights_of(dataset, arm), pretrain, (dataset, arm)))
            probes = [run for run in grid(PROBE) if (run.dataset, run.arm) == (dataset, arm)]
            jobs += [(run.predictions, probe, (run,)) for run in probes]
    jobs += [(run.predictions, finetune, (run,)) for run in grid(FINETUNING)]
    for path, work, arguments in jobs:
        if path.is_file():
            continue
        if monotonic() > end:
            print(f"The time is over before {work.__name__} of {arguments}.", flush=True)
            return
        began = monotonic()
        work(*arguments)
        print(f"TIME {work.__name__} {arguments} {monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
