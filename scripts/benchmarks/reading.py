"""What reading the region of a sample costs, against reading the whole case.

    python scripts/benchmarks/reading.py [--image 160 320 320]

A compressed case consists of blocks, and a block is the least that can be decompressed. The case
is written by nnU-Net's own writer with its own block and chunk sizes; regions are those of drawn
views. Reading a region and reading the whole case take turns.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import blosc2
import torch
from written_case import write_case

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings
from nnunetv2_pcrl.methods.pcrlv2.views import PCRLv2Recipe
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase
from nnunetv2_pcrl.views.channels import Channels


def touched_voxels(box: Box, chunks: tuple[int, ...], blocks: tuple[int, ...], image: Box) -> int:
    """Voxels of all blocks that share a voxel with the box; blocks begin anew in every chunk."""
    counts = []
    for axis, (start, stop) in enumerate(zip(box.start, box.stop, strict=True)):
        chunk, block, limit = chunks[axis], blocks[axis], image.size[axis]
        count = 0
        for chunk_start in range(0, limit, chunk):
            chunk_stop = min(chunk_start + chunk, limit)
            for first in range(chunk_start, chunk_stop, block):
                last = min(first + block, chunk_stop)
                count += last - first if first < stop and last > start else 0
        counts.append(count)
    return math.prod(counts)


def timed(seconds: list[float], work: Callable[[], object]) -> None:
    begin = time.perf_counter()
    work()
    seconds.append(time.perf_counter() - begin)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=int, nargs=3, default=[160, 320, 320])
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = {"global_size": (96,) * 3, "local_size": (64,) * 3}
    recipe = PCRLv2Recipe(PCRLv2Settings(**sizes), (1.0,) * 3)
    whole = Box((0, 0, 0), tuple(args.image))
    generator = torch.Generator().manual_seed(0)
    region_voxels, touched, opening, region_seconds, whole_seconds = [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        write_case(Path(folder), "case", args.image, 1)
        file = blosc2.open(str(Path(folder) / "case.b2nd"))
        chunks, blocks = file.chunks[1:], file.blocks[1:]
        PreprocessedCase(folder, "case").read(whole)
        for _ in range(args.repeats):
            box = recipe.draw(args.image, Channels.unmeasured(1), generator).region
            region_voxels.append(box.volume)
            touched.append(touched_voxels(box, chunks, blocks, whole))
            timed(opening, lambda: PreprocessedCase(folder, "case"))
            case = PreprocessedCase(folder, "case")
            timed(region_seconds, lambda case=case, box=box: case.read(box))
            timed(whole_seconds, lambda case=case: case.read(whole))
    print(f"image {whole.size}, chunks {tuple(chunks)}, blocks {tuple(blocks)}")
    over_region = statistics.median(a / b for a, b in zip(touched, region_voxels, strict=True))
    over_whole = statistics.median(voxels / whole.volume for voxels in touched)
    times = zip(region_seconds, whole_seconds, strict=True)
    print(f"voxels in touched blocks / in the region: {over_region:.2f}")
    print(f"voxels in touched blocks / in the whole image: {over_whole:.2f}")
    print(f"time, region / whole image: {statistics.median(a / b for a, b in times):.2f}")
    for label, seconds in (
        ("opening a case", opening),
        ("reading a region", region_seconds),
        ("reading the whole image", whole_seconds),
    ):
        print(f"{label:>24}: {1e3 * statistics.median(seconds):6.1f} ms ({1e3 * min(seconds):.1f})")


if __name__ == "__main__":
    main()
