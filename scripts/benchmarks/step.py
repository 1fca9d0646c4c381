"""Memory and time of a pretraining step against a segmentation step of the same plan.

    python scripts/benchmarks/step.py [--plan plain|residual] [--patch 64 64 64] [--batch 16]

Each step runs in a process of its own: the peak is that of the process (CPU) or of the allocator
(CUDA), less what was in use before the first step. Times are medians over the repeats; on a shared
machine only the ratios mean anything.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import nn

from nnunetv2_pcrl.methods.pcrlv2.loss import LossWeights, draw_levels
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings, derive_settings
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet
from nnunetv2_pcrl.training.step import ViewBatch
from nnunetv2_pcrl.training.two_pass import MicroBatch, accumulate_gradients

PLAN_BATCH = 2
NUM_STAGES = 5
NUM_LOCAL = 6


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


def segmentation_step(args: argparse.Namespace) -> Callable[[], None]:
    """One step of stock nnU-Net training, deep supervision included."""
    network = planned_network(args.plan, args.features).to(args.device)
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

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(network(images), targets).backward()
        optimizer.step()

    return step


def settings_of(args: argparse.Namespace) -> tuple[PCRLv2Settings, MicroBatch]:
    """View sizes and micro-batch as pretraining derives them from the plan."""
    settings = derive_settings(args.patch, [2 ** (NUM_STAGES - 1)] * 3, [1.0] * 3)
    size, local = settings.global_size, settings.local_size
    return settings, MicroBatch.of_plan(PLAN_BATCH, args.patch, size, local)


def pretraining_step(args: argparse.Namespace, in_parts: bool) -> Callable[[], None]:
    """One PCRLv2 step, in two passes of micro-batches or naively in one."""
    settings, micro_batch = settings_of(args)
    backbone = NonSkipUNet(planned_network(args.plan, args.features))
    network = PCRLv2Network(backbone, 1).to(args.device)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    size, local = settings.global_size, settings.local_size
    views = ViewBatch(
        torch.randn(args.batch, 1, *size, device=args.device),
        torch.randn(2, args.batch, 1, *size, device=args.device),
        torch.randn(NUM_LOCAL, args.batch, 1, *local, device=args.device),
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        levels = draw_levels(network.num_levels, NUM_LOCAL, generator)
        accumulate_gradients(
            network,
            views,
            levels,
            LossWeights(level_restoration=0.5),
            micro_batch if in_parts else None,
        )
        optimizer.step()

    return step


def bare_passes(args: argparse.Namespace) -> Callable[[], None]:
    """The forward and backward passes that the two-pass step needs, and nothing else."""
    settings, micro_batch = settings_of(args)
    backbone = NonSkipUNet(planned_network(args.plan, args.features)).to(args.device)
    kinds = (
        (2 * args.batch, micro_batch.global_views, settings.global_size),
        (NUM_LOCAL * args.batch, micro_batch.local_views, settings.local_size),
    )

    def step() -> None:
        for count, at_a_time, size in kinds:
            for start in range(0, count, at_a_time):
                number = min(at_a_time, count - start)
                images = torch.randn(number, 1, *size, device=args.device)
                with torch.no_grad():
                    backbone(images)
                backbone(images)[-1].mean().backward()

    return step


STEPS = {
    "segmentation": segmentation_step,
    "pretraining": lambda args: pretraining_step(args, in_parts=True),
    "naive": lambda args: pretraining_step(args, in_parts=False),
    "bare": bare_passes,
}


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Runs one kind of step in this process.

    Returns:
        Peak memory of the steps in MiB and median seconds of a step.
    """
    if args.device == "cpu":
        torch.set_num_threads(args.threads)
    step = STEPS[args.only](args)
    on_gpu = args.device == "cuda"
    before = torch.cuda.memory_allocated() if on_gpu else _resident_peak()
    seconds = []
    for _ in range(args.repeats + 1):
        begin = time.perf_counter()
        step()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() if on_gpu else _resident_peak()
    return {"mib": (peak - before) / 2**20, "seconds": statistics.median(seconds[1:] or seconds)}


def _resident_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", choices=("plain", "residual"), default="plain")
    parser.add_argument("--patch", type=int, nargs=3, default=[64, 64, 64])
    parser.add_argument("--features", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--batch", type=int, default=16, help="images of the comparison")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--skip_naive", action="store_true")
    parser.add_argument("--only", choices=tuple(STEPS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args)))
        return
    results = {}
    for name in STEPS:
        if name == "naive" and args.skip_naive:
            continue
        command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results[name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{name:>13}: {results[name]['mib']:8.0f} MiB {results[name]['seconds']:8.2f} s")
    memory = results["pretraining"]["mib"] / results["segmentation"]["mib"]
    arithmetic = results["pretraining"]["seconds"] / results["bare"]["seconds"]
    print(f"memory, pretraining / segmentation: {memory:.2f} (aim: at most 1)")
    print(f"time, pretraining / bare passes: {arithmetic:.2f} (aim: at most 1.05)")
    print(f"time per image: {results['pretraining']['seconds'] / args.batch:.3f} s")
    if "naive" in results:
        ratio = results["naive"]["mib"] / results["segmentation"]["mib"]
        print(f"memory, naive step / segmentation: {ratio:.2f}")
        slower = results["pretraining"]["seconds"] / results["naive"]["seconds"]
        print(f"time, two passes / naive step: {slower:.2f}")


if __name__ == "__main__":
    main()
