"""Runs what is missing of the grid, in one process, until the time is over.

python results/classification/measure.py MINUTES
"""

import csv
import sys
from collections.abc import Callable
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

from nnunetv2_pcrl.tasks.start import unwrapped

# Of the logistic regression, on standardised features.
INVERSE_PENALTY = 0.1


def trainer_of(dataset: str, name: str, fold: int):
    """A trainer as nnUNetv2_train makes it."""
    device = torch.device("cpu")
    return get_trainer_from_args(DATASETS[dataset], CONFIGURATION, fold, name, PLANS, device=device)


def pretrain(dataset: str, method: str) -> None:
    """Pretrains on the images of the fold, as nnUNetv2_train does."""
    trainer_of(dataset, pretraining(method), FOLD).run_training()


def finetune(run: Run) -> None:
    """Trains and validates, as nnUNetv2_train does, but for its checkpoints."""
    trainer = trainer_of(run.dataset, run.trainer, run.label_fold.fold)
    trainer.disable_checkpointing = True
    trainer.run_training()
    trainer.perform_actual_validation()


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
    found = {}
    for table in (trainer.split.train, trainer.split.val):
        for batch in trainer._streams(trainer.reader()).all_inputs(table):
            with torch.no_grad():
                pooled = network.pooled(batch["image"]).numpy()
            found |= dict(zip(batch["case"], pooled, strict=True))
    trainer.on_train_end()
    return found


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
    run.predictions.parent.mkdir(parents=True, exist_ok=True)
    with open(run.predictions, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("identifier", table.names[0]))
        writer.writerows(zip(others, values.tolist(), strict=True))


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
    jobs: list[tuple[Path, Callable, tuple]] = [
        (weights_of(dataset, method), pretrain, (dataset, method))
        for dataset in DATASETS
        for method in ARMS
        if method != SCRATCH
    ]
    jobs += [(run.predictions, probe, (run,)) for run in grid(PROBE)]
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
