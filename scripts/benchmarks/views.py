"""Time to make the views of one image, against a plain grid_sample to as many voxels.

    python scripts/benchmarks/views.py [--image 160 320 320] [--device cuda]

Two global and six local views on one thread, or on a GPU. All kinds are measured in turn on the
same draws, so that what else the machine does hits them alike: look at the ratios.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from written_case import write_case

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings
from nnunetv2_pcrl.methods.pcrlv2.views import PCRLv2Recipe, PreparedViews
from nnunetv2_pcrl.views.cases import PreprocessedCase
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.corruption import corrupt_
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.resample import resample
from nnunetv2_pcrl.views.samples import TRAINING_STREAM, StreamPosition, ViewSamples

NUM_LOCAL = 6


# On a CPU its own time, which other work on the machine does not lengthen.
CLOCKS = {"cpu": time.process_time, "cuda": time.perf_counter}


def ready_grids(prepared: PreparedViews, device: torch.device) -> list[Tensor]:
    """The sampling grids of all views, one [1, D, H, W, 3] each, as grid_sample likes them."""
    grids = []
    for group in (prepared.global_views, prepared.local_views):
        for d, h, w in zip(*group.lines, strict=True):
            grid = d[:, :, None, None] + h[:, None, :, None] + w[:, None, None, :]
            grids.append(grid.permute(1, 2, 3, 0)[None].float().contiguous().to(device))
    return grids


def plain(region: Tensor, grids: list[Tensor]) -> None:
    """The interpolation of all views and nothing else."""
    for grid in grids:
        F.grid_sample(region[None], grid, padding_mode="border", align_corners=False)


def corrupt_all(prepared: PreparedViews, sampled: list[Tensor]) -> None:
    """The corruption of all views, in place."""
    groups = (prepared.global_views, prepared.local_views)
    for group, views in zip(groups, sampled, strict=True):
        corrupt_(views, group.corruption)


def measure(args: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Seconds of each kind of work, one value per repeat."""
    device, clock = torch.device(args.device), CLOCKS[args.device]
    sizes = {"global_size": (96,) * 3, "local_size": (64,) * 3}
    recipe = PCRLv2Recipe(PCRLv2Settings(**sizes, num_local=NUM_LOCAL), (1.0,) * 3)
    position = StreamPosition(0, TRAINING_STREAM)
    channels = Channels.unmeasured(args.channels)
    samples = ViewSamples(folder, ["case"], 1, recipe, channels, position)
    case = PreprocessedCase(folder, "case")
    seconds: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        if device.type == "cuda":
            torch.cuda.synchronize()
        begin = clock()
        result = work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.setdefault(name, []).append(clock() - begin)
        return result

    for repeat in range(args.repeats + 1):
        generator = torch.Generator().manual_seed(repeat)
        drawn = timed(
            "draw",
            lambda g=generator: recipe.draw(args.image, channels, g),
        )
        prepared = timed("prepare", lambda d=drawn: d.prepared())
        region = timed("read", lambda d=drawn: case.read(d.region)).to(device)
        moved, grids = on_device(prepared, device), ready_grids(prepared, device)
        timed("plain", lambda r=region, g=grids: plain(r, g))
        views = timed("make", lambda r=region, p=prepared: p.make(r))
        lines = [group.lines for group in (moved.global_views, moved.local_views)]
        sampled = timed("resample", lambda r=region, ls=lines: [resample(r, line) for line in ls])
        timed("corrupt", lambda p=moved, s=sampled: corrupt_all(p, s))
        timed("sample", lambda n=repeat: samples.region(n).made(device))
    sent = {"region": [region], "views instead": views.values()}
    for name, tensors in sent.items():
        mib = sum(tensor.nbytes for tensor in tensors) / 2**20
        print(f"sent to a GPU per image, last draw, {name}: {mib:.1f} MiB")
    # The first round warms up.
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=int, nargs=3, default=[160, 320, 320])
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_case(Path(folder), "case", args.image, args.channels)
        seconds = measure(args, Path(folder))
    in_turn = zip(seconds["draw"], seconds["prepare"], seconds["make"], strict=True)
    seconds["views"] = [sum(parts) for parts in in_turn]
    print(f"per image, {args.channels} channel(s), {args.device}; median (least) of {args.repeats}")
    for name, label in (
        ("plain", "grid_sample with ready grids"),
        ("views", "views from a region"),
        ("draw", "  drawing"),
        ("prepare", "  preparing"),
        ("make", "  making"),
        ("resample", "    of which interpolation"),
        ("corrupt", "    of which corruption"),
        ("read", "reading a region"),
        ("sample", "views with reading, whole sample"),
    ):
        values = seconds[name]
        median = 1e3 * statistics.median(values)
        print(f"{label:>34}: {median:7.1f} ms ({1e3 * min(values):.1f})")
    for name, label, aim in (("views", "views", 1.5), ("sample", "views with reading", 1.6)):
        pairs = zip(seconds[name], seconds["plain"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        least = min(seconds[name]) / min(seconds["plain"])
        print(f"time, {label} / plain grid_sample: {ratio:.2f} ({least:.2f}) (aim: at most {aim})")


if __name__ == "__main__":
    main()
