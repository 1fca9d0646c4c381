"""Short pretrainings of every method on preprocessed ACDC: losses and probe before and after.

python results/methods/measure.py PREPROCESSED_DATA_SET OUT.csv [--methods VoCo MAE_densified]
                                  [--seeds 0 1 2]

The methods' own views, networks, losses, optimisers and probe, in one process, without pictures and
checkpoints, so that two cores that are shared can do it. Runs that are in the file are left out.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.registry import METHODS, method_named
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.monitoring.probe import probe
from nnunetv2_pcrl.monitoring.probe_crops import draw_both
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.training.gradient_cache import accumulate_gradients, evaluate
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.plan_facts import plan_facts
from nnunetv2_pcrl.training.update import update
from nnunetv2_pcrl.views.samples import (
    TRAINING_STREAM,
    VALIDATION_STREAM,
    StreamPosition,
    ViewSamples,
)

BATCH_SIZE, VALIDATION_BATCHES = 16, 4
# Cases of the probe: with the 8 and 4 that a pretraining looks at, a seed's difference is chance.
CASES_TO_FIT, CASES_TO_SCORE = 40, 40
COLUMNS = ("method", "seed", "steps", "number", "before", "after")


def batch_of(samples: ViewSamples, number: int) -> dict[str, torch.Tensor]:
    """A whole batch of views, images on the second axis."""
    made: dict[str, list[torch.Tensor]] = {}
    for sample in range(number * samples.batch_size, (number + 1) * samples.batch_size):
        for name, values in samples[sample]["views"].items():
            made.setdefault(name, []).append(values)
    return {name: torch.stack(values, dim=1) for name, values in made.items()}


def measured(folder: Path, plans_name: str, name: str, seed: int, steps: int) -> dict[str, tuple]:
    """Numbers of the validation, and the probes, before and after a pretraining.

    The probe reads what the backbone gives; that of the encoder its stages alone, which is what
    fine-tunings load of every method.
    """
    plans = PlansManager(str(folder / f"{plans_name}.json"))
    configuration = plans.get_configuration("2d")
    facts = plan_facts(plans, configuration, 1)
    name, *variants = name.split("_")
    kind, given = method_named(name), {"batch_size": BATCH_SIZE, "seed": seed}
    method = kind(settings_for(kind, facts, given, variants), facts)
    torch.manual_seed(seed)
    planned = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        4,
        deep_supervision=True,
    )
    network = method.build(planned)
    split = json.loads((folder / "splits_final.json").read_text())[0]
    data = folder / configuration.data_identifier

    def samples(stream: int, cases: str) -> ViewSamples:
        position = StreamPosition(seed, stream)
        recipe, channels = method.recipe(), facts.channels
        return ViewSamples(data, split[cases], BATCH_SIZE, recipe, channels, position)

    training = samples(TRAINING_STREAM, "train")
    validation = samples(VALIDATION_STREAM, "val")
    watched = [batch_of(validation, number) for number in range(VALIDATION_BATCHES)]
    classes = {value: value for value in range(4)}
    size, stride = configuration.patch_size, facts.total_stride
    fitting, scoring = draw_both(
        data,
        split["train"],
        split["val"],
        classes,
        size,
        stride,
        seed,
        (CASES_TO_FIT, CASES_TO_SCORE),
    )

    def state() -> dict[str, float]:
        network.eval()
        found = numbers(method, network, watched)
        read = {"probe": network.backbone, "encoder_probe": Encoder(network.backbone).eval()}
        for number, maps in read.items():
            score = probe(maps, fitting, scoring, 4, torch.device("cpu"), nullcontext)
            found[number] = score.mean
        network.train()
        return found

    before = state()
    train(method, network, training, steps)
    after = state()
    return {number: (before[number], after[number]) for number in after}


def numbers(method: Method, network, watched: list) -> dict[str, float]:
    """Means over the batches of the validation."""
    objective = method.objective(network, None, torch.Generator().manual_seed(0))
    found = [evaluate(network, batch, objective, None) for batch in watched]
    return method.summarised({k: float(np.mean([float(f[k]) for f in found])) for k in found[0]})


def train(method: Method, network, samples: ViewSamples, steps: int) -> None:
    """So many steps with a rate that falls by a half cosine."""
    optimizer, joint = method.optimizer(network), JointBatch.of_this_process(BATCH_SIZE)
    generator = torch.Generator().manual_seed(method.settings.seed)
    for step in range(steps):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = method.settings.initial_lr * (1 + math.cos(math.pi * done)) / 2
        optimizer.zero_grad(set_to_none=True)
        objective = method.objective(network, done, generator)
        accumulate_gradients(network, batch_of(samples, step), objective, None)
        update(network, optimizer, None, joint)
        method.after_update(network, done)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_set", type=Path, help="folder of the data set, preprocessed in 2d")
    parser.add_argument("out", type=Path, help="the CSV, to which runs are added")
    parser.add_argument("--plans", default="nnUNetPlansTiny", help="name of the plans")
    parser.add_argument("--methods", nargs="+", default=[m.about.name for m in METHODS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=240)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    done = set()
    if args.out.exists():
        with open(args.out, newline="", encoding="utf-8") as file:
            done = {(row["method"], int(row["seed"])) for row in csv.DictReader(file)}
    for seed in args.seeds:
        for name in args.methods:
            if (name, seed) in done:
                continue
            start = time.process_time()
            found = measured(args.data_set, args.plans, name, seed, args.steps)
            is_new = not args.out.exists()
            with open(args.out, "a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if is_new:
                    writer.writerow(COLUMNS)
                for number, (before, after) in found.items():
                    values = f"{before:.4f}", f"{after:.4f}"
                    writer.writerow((name, seed, args.steps, number, *values))
            before, after = found["probe"]
            seconds = time.process_time() - start
            print(
                f"{name} {seed}: probe {before:.3f} -> {after:.3f}, {seconds:.0f} CPU-s", flush=True
            )


if __name__ == "__main__":
    main()
