"""What monitoring costs beside a pretraining on a prepared data set.

    python scripts/benchmarks/monitoring.py 4 3d_fullres [-p PLANS] [--method PCRLv2]

Runs a short training and measures what its monitoring takes: processor time on a CPU, so that
other programs do not count, wall-clock time on a GPU. What happens once per epoch or once per
training is then set against epochs of the planned length. Needs nnU-Net's three folders; the
results go to a temporary one.
"""

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

from nnunetv2_pcrl.methods.pcrlv2 import objective
from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.training import pretrain_trainer

ONCE_PER_VALIDATION_STEP = "state of the representation"
ONCE_PER_EPOCH = "log line, warnings, record"
ONCE_PER_PROBE = "probe"
PACED = "pictures, limited to 1 % of the time by themselves"
ONCE = "last pictures, report, first probe"


def measure(trainer: type, device: str) -> dict[str, list[float]]:
    """Puts a stop-watch on every part of the monitoring; the seconds of every call so far."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, function: Callable) -> Callable:
        def call(*arguments, **keywords):
            begin = clock()
            result = function(*arguments, **keywords)
            if device != "cpu":
                torch.cuda.synchronize()
            seconds[name].append(clock() - begin)
            return result

        return call

    trainer.train_step = timed("step", trainer.train_step)
    trainer.validation_step = timed("validation", trainer.validation_step)
    trainer.print_epoch = timed("line", trainer.print_epoch)
    trainer.perform_actual_validation = timed("report", trainer.perform_actual_validation)
    monitor = pretrain_trainer.PretrainingMonitor
    monitor.probe = timed("probe", monitor.probe)
    monitor.after_epoch = timed("after epoch", monitor.after_epoch)
    # A method without it has no such state.
    objective.representation_numbers = timed("state", objective.representation_numbers)
    return seconds


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("configuration")
    parser.add_argument("-p", "--plans", default="nnUNetPlans")
    parser.add_argument("--method", default="PCRLv2")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    name = maybe_convert_to_dataset_name(args.dataset)
    folder = Path(nnUNet_preprocessed.require()) / name
    trainer_class = trainer_named(f"{args.method}PretrainTrainer")
    plans = json.loads((folder / f"{args.plans}.json").read_text())
    sections = plans["configurations"][args.configuration].setdefault("nnunetv2_pcrl", {})
    sections.setdefault(trainer_class.method_class.about.section, {}).update(
        num_epochs=args.epochs,
        num_iterations_per_epoch=args.steps,
        num_val_iterations_per_epoch=2,
        probe_every=1,
    )
    seconds = measure(trainer_class, args.device)
    with tempfile.TemporaryDirectory() as results:
        os.environ.update(nnUNet_results=results)
        trainer = trainer_class(
            {**plans, "continue_training": False},
            args.configuration,
            "all",
            json.loads((folder / "dataset.json").read_text()),
            torch.device(args.device),
        )
        trainer.run_training()
        trainer.perform_actual_validation()
    report(seconds)


def report(seconds: dict[str, list[float]]) -> None:
    """Prints each part's seconds and share of a training of the usual length."""
    usual = PretrainingSettings()
    epochs, steps = usual.num_epochs, usual.num_iterations_per_epoch
    # The first step prepares much that later ones find ready.
    step = min(seconds["step"])
    training = epochs * steps * step
    state = sum(seconds["state"]) / len(seconds["validation"])
    *between, last = seconds["after epoch"]
    rows = {
        ONCE_PER_VALIDATION_STEP: (state, epochs * usual.num_val_iterations_per_epoch),
        ONCE_PER_EPOCH: (min(seconds["line"]) + min(between or [0.0]), epochs),
        ONCE_PER_PROBE: (min(seconds["probe"]), epochs // usual.probe_every + 1),
        ONCE: (last + seconds["report"][0] + seconds["probe"][0], 1),
    }
    print(f"\na training step: {step:.3f} s; {epochs} epochs of {steps}: {training:.0f} s")
    total = 0.01
    for name, (each, count) in rows.items():
        total += each * count / training
        share = 100 * each * count / training
        print(f"{name:>35}: {each:8.3f} s x {count:5d} = {share:.4f} %")
    print(f"{PACED:>35}")
    print(f"all together at most: {100 * total:.2f} % of the training steps (aim: below 2 %)")


if __name__ == "__main__":
    main()
