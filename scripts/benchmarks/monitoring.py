"""What monitoring costs beside a pretraining on a prepared data set.

    python scripts/benchmarks/monitoring.py 4 3d_fullres [-p PLANS] [--epochs 2] [--steps 4]

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
from pathlib import Path

import torch
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings

ONCE_PER_VALIDATION_STEP = "state of the representation"
ONCE_PER_EPOCH = "log line, warnings, record"
ONCE_PER_PROBE = "probe"
REPEATS = 5
PACED = "pictures, limited to 1 % of the time by themselves"
ONCE = "last pictures, report, first probe"


def measured_trainer(args: argparse.Namespace, seconds: dict[str, list[float]]) -> type:
    """The trainer with a stop-watch on every part of the monitoring."""
    from nnunetv2_pcrl.training import pretrain_trainer
    from nnunetv2_pcrl.training.step import pcrlv2_step

    clock = time.process_time if args.device == "cpu" else time.perf_counter

    def timed(name: str, function):
        def call(*arguments, **keywords):
            begin = clock()
            result = function(*arguments, **keywords)
            if args.device != "cpu":
                torch.cuda.synchronize()
            seconds[name].append(clock() - begin)
            return result

        return call

    evaluate = pretrain_trainer.PCRLv2PretrainTrainer.evaluate

    class Measured(pretrain_trainer.PCRLv2PretrainTrainer):
        variant = {
            "num_epochs": args.epochs,
            "num_iterations_per_epoch": args.steps,
            "num_val_iterations_per_epoch": 1,
            "probe_every": 1,
        }

        def evaluate(self, batch, generator):
            state = generator.get_state()
            views, levels = pretrain_trainer._views_of(batch), self._draw_levels(generator)
            # All views in one pass, so that nothing but levels and state differ.
            micro_batch, self._micro_batch = self._micro_batch, None
            for _ in range(REPEATS):
                timed("validation", pcrlv2_step)(self.network, views, levels)
                generator.set_state(state)
                evaluated = timed("validation and state", evaluate)(self, batch, generator)
            self._micro_batch = micro_batch
            return evaluated

    Measured.train_step = timed("step", Measured.train_step)
    Measured.print_epoch = timed("line", Measured.print_epoch)
    Measured.perform_actual_validation = timed("report", Measured.perform_actual_validation)
    monitor = pretrain_trainer.PretrainingMonitor
    monitor.probe = timed("probe", monitor.probe)
    monitor.after_epoch = timed("after epoch", monitor.after_epoch)
    return Measured


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("configuration")
    parser.add_argument("-p", "--plans", default="nnUNetPlans")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    name = maybe_convert_to_dataset_name(args.dataset)
    folder = Path(nnUNet_preprocessed.require()) / name
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as results:
        os.environ.update(nnUNet_results=results)
        trainer = measured_trainer(args, seconds)(
            {
                **json.loads((folder / f"{args.plans}.json").read_text()),
                "continue_training": False,
            },
            args.configuration,
            "all",
            json.loads((folder / "dataset.json").read_text()),
            torch.device(args.device),
        )
        trainer.run_training()
        trainer.perform_actual_validation()
    report(trainer.settings, seconds)


def report(settings: PCRLv2Settings, seconds: dict[str, list[float]]) -> None:
    """Prints each part's seconds and share of a training of the planned length."""
    planned = PCRLv2Settings(settings.global_size, settings.local_size, settings.spacing)
    epochs, steps = planned.num_epochs, planned.num_iterations_per_epoch
    # The first step prepares much that later ones find ready.
    step = min(seconds["step"])
    training = epochs * steps * step
    state = max(0.0, min(seconds["validation and state"]) - min(seconds["validation"]))
    *between, last = seconds["after epoch"]
    rows = {
        ONCE_PER_VALIDATION_STEP: (state, epochs * planned.num_val_iterations_per_epoch),
        ONCE_PER_EPOCH: (min(seconds["line"]) + min(between or [0.0]), epochs),
        ONCE_PER_PROBE: (min(seconds["probe"]), epochs // planned.probe_every + 1),
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
