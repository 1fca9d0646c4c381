"""Memory and time of every method's step against a segmentation step and against PCRLv2's.

    python scripts/benchmarks/step.py [--methods PCRLv2 MAE_densified] [--plan plain|residual]
    python scripts/benchmarks/step.py --device cuda --amp --patch 128 128 128 --features 32

One table over all methods. On a CPU each step runs in a process of its own, and its memory is the
peak of that process less what was in use before the first step. On a GPU it is the allocator's
peak, weights and views included. Times are medians over the repeats, behind steps that warm up; on
a CPU they are those of the process and not of the clock, which other work would lengthen. Only the
ratios mean anything. --compiled and --channels_last measure each step with and without; --naive
measures the step that has everything in one graph.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import Tensor, nn

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.registry import METHODS, method_named
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.networks.compiled import compile_stages
from nnunetv2_pcrl.training.gradient_cache import Precision, accumulate_gradients
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.micro_batch import MicroBatch
from nnunetv2_pcrl.training.update import update
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.seeding import seeded_generator

PLAN_BATCH = 2
NUM_STAGES = 5
SEGMENTATION = "segmentation"
REFERENCE = "PCRLv2"
CHANGES = ("naive", "compiled", "channels_last")


def facts_of(args: argparse.Namespace) -> PlanFacts:
    """What the plan says to a method."""
    strides = ((1,) * 3, *((2,) * 3,) * (NUM_STAGES - 1))
    spacing, patch = (1.0,) * 3, tuple(args.patch)
    return PlanFacts(patch, PLAN_BATCH, spacing, strides, 1, ("ZScoreNormalization",))


def planned_network(plan: str, features: int) -> nn.Module:
    """A network as nnU-Net plans it: default (plain) or with a residual encoder (ResEncM)."""
    common = {
        "input_channels": 1,
        "num_classes": 3,
        "n_stages": NUM_STAGES,
        "features_per_stage": [min(features * 2**i, 320) for i in range(NUM_STAGES)],
        "conv_op": nn.Conv3d,
        "kernel_sizes": 3,
        "strides": [1] + [2] * (NUM_STAGES - 1),
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
        "deep_supervision": True,
    }
    if plan == "plain":
        return PlainConvUNet(n_conv_per_stage=2, n_conv_per_stage_decoder=2, **common)
    blocks = [1, 3, 4, 6, 6][:NUM_STAGES]
    return ResidualEncoderUNet(n_blocks_per_stage=blocks, n_conv_per_stage_decoder=1, **common)


class Mixed:
    """Mixed precision of a step as nnU-Net has it, or none."""

    def __init__(self, args: argparse.Namespace):
        self.device, self.is_wanted = args.device, args.amp
        self.scaler = torch.amp.GradScaler(args.device) if args.amp else None

    def autocast(self) -> AbstractContextManager:
        """The context of forward passes: half precision on a GPU, bfloat16 on a CPU."""
        return torch.autocast(self.device) if self.is_wanted else nullcontext()

    @property
    def scale(self) -> float | Tensor:
        """Factor of the loss."""
        one = torch.ones((), device=self.device)
        return 1.0 if self.scaler is None else self.scaler.scale(one)


def segmentation_step(args: argparse.Namespace, change: str) -> Callable[[], None]:
    """One step of stock nnU-Net training, deep supervision included."""
    network = planned_network(args.plan, args.features).to(args.device)
    if change == "compiled":
        network.compile()
    changed(network, change)
    loss = DC_and_CE_loss(
        {"batch_dice": False, "smooth": 1e-5, "do_bg": False},
        {},
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    weights = [1 / 2**i for i in range(NUM_STAGES - 2)] + [0]
    loss = DeepSupervisionWrapper(loss, [w / sum(weights) for w in weights])
    optimizer = torch.optim.SGD(network.parameters(), 1e-2, momentum=0.99, nesterov=True)
    images = torch.randn(PLAN_BATCH, 1, *args.patch, device=args.device)
    targets = [
        torch.randint(0, 3, (PLAN_BATCH, 1, *(s // 2**i for s in args.patch)), device=args.device)
        for i in range(NUM_STAGES - 1)
    ]
    mixed, alone = Mixed(args), JointBatch(PLAN_BATCH)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with mixed.autocast():
            value = loss(network(images), targets)
        (mixed.scale * value).backward()
        update(network, optimizer, mixed.scaler, alone)

    return step


def pretraining_step(args: argparse.Namespace, name: str, change: str) -> Callable[[], None]:
    """One step of a method, with its own views of noise, as its trainer does it."""
    name, *variants = name.split("_")
    kind, facts = method_named(name), facts_of(args)
    given = {} if args.batch is None else {"batch_size": args.batch}
    method = kind(settings_for(kind, facts, given, variants), facts)
    network = method.build(planned_network(args.plan, args.features)).to(args.device)
    if change == "compiled":
        compile_stages(network)
    changed(network, change)
    optimizer = method.optimizer(network)
    views = views_of(method, args)
    micro_batch = None
    if change != "naive":
        device = torch.device(args.device)
        micro_batch = MicroBatch.of_plan(PLAN_BATCH, args.patch, None, method.largest_view, device)
    generator = torch.Generator().manual_seed(0)
    mixed, alone = Mixed(args), JointBatch(method.settings.batch_size)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        objective = method.objective(network, 0.5, generator)
        precision = Precision(mixed.autocast, mixed.scale)
        accumulate_gradients(network, views, objective, micro_batch, precision)
        update(network, optimizer, mixed.scaler, alone)
        method.after_update(network, 0.5)

    return step


def changed(network: nn.Module, change: str) -> None:
    """Sets the memory format, if that is the change."""
    if change == "channels_last":
        network.to(memory_format=torch.channels_last_3d)


def views_of(method: Method, args: argparse.Namespace) -> dict[str, Tensor]:
    """A batch of views of images that are twice as large as the patch."""
    size, recipe = tuple(2 * s for s in args.patch), method.recipe()
    image = torch.randn(1, *size, generator=seeded_generator(0))
    made: dict[str, list[Tensor]] = {}
    for number in range(method.settings.batch_size):
        drawn = recipe.draw(size, Channels.unmeasured(1), seeded_generator(1, number))
        region = image[(slice(None), *drawn.region.slices)].to(args.device)
        for name, values in drawn.prepared().make(region).items():
            made.setdefault(name, []).append(values)
    return {name: torch.stack(values, dim=1) for name, values in made.items()}


def measure(args: argparse.Namespace, kind: str) -> dict[str, float]:
    """Runs one kind of step in this process.

    Returns:
        Peak memory of the steps in MiB and median seconds of a step.
    """
    on_gpu = args.device == "cuda"
    if on_gpu:
        # As nnU-Net trains.
        torch.backends.cudnn.benchmark = True
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        torch.set_num_threads(args.threads)
    name, _, change = kind.partition(":")
    if name == SEGMENTATION:
        step = segmentation_step(args, change)
    else:
        step = pretraining_step(args, name, change)
    clock = time.perf_counter if on_gpu else time.process_time
    before = before if on_gpu else _resident_peak()
    seconds = []
    for _ in range(args.warmup + args.repeats):
        begin = clock()
        step()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(clock() - begin)
    peak = torch.cuda.max_memory_allocated() if on_gpu else _resident_peak()
    return {"mib": (peak - before) / 2**20, "seconds": statistics.median(seconds[args.warmup :])}


def measured_apart(kind: str) -> dict[str, float]:
    """As `measure`, in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _resident_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(results: dict[str, dict[str, float]]) -> str:
    """All steps, each against the segmentation step and against PCRLv2's, if that was measured."""
    against = [name for name in (SEGMENTATION, REFERENCE) if name in results]
    lines = [
        f"| step | MiB | s | {' | '.join(f'memory, time / {name}' for name in against)} |",
        "|---" * (3 + len(against)) + "|",
    ]
    for kind, found in results.items():
        ratios = [
            ", ".join(f"{found[k] / results[name][k]:.2f}" for k in ("mib", "seconds"))
            for name in against
        ]
        lines.append(
            f"| {kind} | {found['mib']:.0f} | {found['seconds']:.3f} | {' | '.join(ratios)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    names = [method.about.name for method in METHODS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", metavar="METHOD[_VARIANT]", default=names)
    parser.add_argument("--plan", choices=("plain", "residual"), default="plain")
    parser.add_argument("--patch", type=int, nargs=3, default=[64, 64, 64])
    parser.add_argument("--features", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--batch", type=int, help="images of a step (default: the method's)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=1, help="steps that are not counted")
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument("--naive", action="store_true", help="also everything in one graph")
    parser.add_argument("--compiled", action="store_true", help="also with torch.compile")
    parser.add_argument("--channels_last", action="store_true", help="also in that memory format")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = [name for name in args.methods if name.split("_")[0] not in names]
    if unknown:
        parser.error(f"no method {', '.join(unknown)}: it is one of {', '.join(names)}")
    if args.only:
        print(json.dumps(measure(args, args.only)))
        return
    changes = ["", *(change for change in CHANGES if getattr(args, change))]
    kinds = [f"{n}:{c}".rstrip(":") for n in (SEGMENTATION, *args.methods) for c in changes]
    results = {}
    for kind in kinds:
        if kind == f"{SEGMENTATION}:naive":
            continue
        results[kind] = measure(args, kind) if args.device == "cuda" else measured_apart(kind)
        print(f"{kind}: {results[kind]['seconds']:.3f} s, {results[kind]['mib']:.0f} MiB")
    print(table(results))


if __name__ == "__main__":
    main()
