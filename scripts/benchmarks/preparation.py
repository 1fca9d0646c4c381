"""Measures time per image and memory of the preparation against nnU-Net's own.

    python scripts/benchmarks/preparation.py --images 4 --size 64 256 256

Generates CT images with a label and prepares them by nnUNetv2_plan_and_preprocess and, without the
label, by nnUNetv2_pcrl_plan_and_preprocess with one process each; then again with twice as many
images. Every command runs in a process of its own, whose largest memory is reported.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import SimpleITK

# A child's largest memory, its own children included, as the system accounts for it.
_MEASURED = """
import resource, runpy, sys
module, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__")
finally:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print("PEAK", max(resource.getrusage(kind).ru_maxrss for kind in kinds))
"""
_STOCK = """
from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_and_preprocess_entry
if __name__ == "__main__":
    plan_and_preprocess_entry()
"""


def generate(folder: Path, num_images: int, size: tuple[int, int, int], with_labels: bool) -> None:
    """Writes a raw data set of smooth images within the range of CT."""
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "organ": 1},
        "numTraining": num_images,
        "file_ending": ".nii.gz",
    }
    for part in ("imagesTr", *(["labelsTr"] if with_labels else [])):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(content))
    centre = tuple(slice(s // 4, 3 * s // 4) for s in size)
    for number in range(num_images):
        random = np.random.default_rng(number)
        array = np.full(size, -1000, dtype=np.int16)
        array[centre] = random.normal(50, 30, array[centre].shape).astype(np.int16)
        label = np.zeros(size, dtype=np.uint8)
        label[centre] = 1
        files = {"imagesTr/case_{}_0000.nii.gz": array}
        files |= {"labelsTr/case_{}.nii.gz": label} if with_labels else {}
        for name, values in files.items():
            image = SimpleITK.GetImageFromArray(values)
            # Every other image is resampled.
            image.SetSpacing((0.8, 0.8, 2.0 if number % 2 else 1.9))
            SimpleITK.WriteImage(image, str(folder / name.format(f"{number:03d}")))


def measure(root: Path, module: str, *arguments: str) -> tuple[float, float]:
    """Seconds and largest memory (GB) of a command."""
    began = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, module, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
        capture_output=True,
        text=True,
    )
    seconds = perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return seconds, int(done.stdout.rsplit("PEAK", 1)[1]) / 2**20


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=3, default=(64, 256, 256), help="voxels z y x")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            (root / name).mkdir()
            os.environ[name] = str(root / name)
        (root / "stock_preparation.py").write_text(_STOCK)
        raw = root / "nnUNet_raw"
        stock, ours = "stock_preparation", "nnunetv2_pcrl.cli.plan_and_preprocess"
        print(f"{'images ' + 'x'.join(map(str, args.size)):<24}{'number':>8}{'s':>8}{'GB':>8}")
        for name, module, with_labels, more in (
            ("nnU-Net, with labels", stock, True, ("-npfp", "1")),
            ("without labels", ours, False, ()),
        ):
            seconds = []
            for number in (args.images, 2 * args.images):
                dataset = f"{1 + len(list(raw.iterdir())):03d}"
                generate(raw / f"Dataset{dataset}_CT", number, tuple(args.size), with_labels)
                command = ("-d", dataset.lstrip("0"), "-c", "3d_fullres", "-np", "1", *more)
                spent, memory = measure(root, module, *command)
                seconds.append(spent)
                print(f"{name:<24}{number:>8}{spent:>8.1f}{memory:>8.2f}")
            # What starting, planning and nnU-Net's fixed number of samples cost drops out.
            print(f"{'':<24}{(seconds[1] - seconds[0]) / args.images:>16.2f} s per further image")


if __name__ == "__main__":
    main()
