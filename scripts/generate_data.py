"""Write generated data in nnU-Net's raw format: abdominal CT as in LiTS or brain MR as in BraTS.

python scripts/generate_data.py ct OUTPUT_FOLDER --dataset_id 901 --name DemoCT --size 32 64 64

OUTPUT_FOLDER is the folder that nnUNet_raw points to. Equal arguments give equal data, and more
cases leave the earlier ones as they are. The anatomy lives in generated_ct.py and generated_mr.py.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from generated_ct import generate_ct
from generated_mr import generate_mr
from generated_shapes import Case

# To be raised whenever equal parameters would give other data than before.
GENERATOR_VERSION = 1
# Below this, organs and lesions are no longer sure to cover a voxel.
MIN_SIZE = 12


@dataclass(frozen=True)
class Kind:
    """What dataset.json says about one kind of data, and the function that draws its cases.

    nnU-Net turns predicted regions into one label map by writing region by region, in the order of
    `region_labels`, the label that `regions_class_order` gives for each. The larger region stands
    first, with the label of what remains of it outside the regions after it.
    """

    generate_case: Callable[[np.random.Generator, tuple[int, int, int]], Case]
    channel_names: tuple[str, ...]
    plain_labels: dict[str, int]
    region_labels: dict[str, int | list[int]]
    regions_class_order: list[int]
    regions_by_default: bool


KINDS = {
    "ct": Kind(
        generate_case=generate_ct,
        channel_names=("CT",),
        plain_labels={"background": 0, "liver": 1, "tumour": 2},
        region_labels={"background": 0, "liver": [1, 2], "tumour": [2]},
        regions_class_order=[1, 2],
        regions_by_default=False,
    ),
    "mr": Kind(
        generate_case=generate_mr,
        channel_names=("T1", "T1ce", "T2", "FLAIR"),
        plain_labels={"background": 0, "necrotic core": 1, "oedema": 2, "enhancing tumor": 3},
        region_labels={
            "background": 0,
            "whole tumor": [1, 2, 3],
            "tumor core": [1, 3],
            "enhancing tumor": [3],
        },
        regions_class_order=[2, 1, 3],
        regions_by_default=True,
    ),
}


def write_nifti(path: Path, array: np.ndarray, spacing_mm: tuple[float, float, float]) -> None:
    """Write an array [D, H, W] with its spacing (z, y, x)."""
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing_mm[::-1])
    SimpleITK.WriteImage(image, path)


def write_cases(folder: Path, kind: str, name: str, split: str, num_cases: int, size, seed) -> None:
    """Write images{split} and labels{split}, `split` being 'Tr' or 'Ts'."""
    images, labels = folder / f"images{split}", folder / f"labels{split}"
    images.mkdir(parents=True)
    labels.mkdir()
    for index in range(num_cases):
        rng = np.random.default_rng([seed, ("Tr", "Ts").index(split), index])
        case = KINDS[kind].generate_case(rng, size)
        identifier = f"{name}_{split}_{index:03d}"
        for channel, image in enumerate(case.image):
            write_nifti(images / f"{identifier}_{channel:04d}.nii.gz", image, case.spacing_mm)
        write_nifti(labels / f"{identifier}.nii.gz", case.labels, case.spacing_mm)


def dataset_json(kind: str, num_training: int, regions: bool) -> dict:
    """Content of nnU-Net's dataset.json; the order of the labels is the order of the regions."""
    content = KINDS[kind]
    description = {
        "channel_names": {str(i): name for i, name in enumerate(content.channel_names)},
        "labels": content.region_labels if regions else content.plain_labels,
        "numTraining": num_training,
        "file_ending": ".nii.gz",
    }
    if regions:
        description["regions_class_order"] = content.regions_class_order
    return description


def generate_dataset(
    kind: str,
    raw_folder: str | Path,
    dataset_id: int,
    name: str,
    num_training: int = 12,
    num_test: int = 4,
    size: tuple[int, int, int] = (32, 64, 64),
    seed: int = 0,
    regions: bool | None = None,
) -> Path:
    """Write raw_folder/DatasetXXX_Name, or return at once if it is there with equal parameters.

    Args:
        kind: "ct" (labels liver, tumour) or "mr" (T1, T1ce, T2, FLAIR; nested tumour regions).
        raw_folder: the folder that nnUNet_raw points to; made if missing.
        dataset_id: 1 to 999.
        name: what follows DatasetXXX_; also how the cases are called.
        num_training: number of cases in imagesTr and labelsTr.
        num_test: number of cases in imagesTs and labelsTs.
        size: (D, H, W) in voxels; every axis of every case varies within 10 % of it.
        seed: not negative. A case depends on kind, size, seed, split and its index only.
        regions: overlapping regions instead of plain labels; by default for mr only.

    Returns:
        The data set's folder.

    Raises:
        ValueError: for an unknown kind, a size below MIN_SIZE, or a folder that holds something
            other than the same generated data set.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}: choose one of {', '.join(KINDS)}.")
    if min(size) < MIN_SIZE:
        raise ValueError(f"Size {tuple(size)} is too small: choose at least {MIN_SIZE} per axis.")
    regions = KINDS[kind].regions_by_default if regions is None else regions
    parameters = {
        "kind": kind,
        "num_training": num_training,
        "num_test": num_test,
        "size": list(size),
        "seed": seed,
        "regions": regions,
        "generator_version": GENERATOR_VERSION,
    }
    folder = Path(raw_folder) / f"Dataset{dataset_id:03d}_{name}"
    record = folder / "generated.json"
    if record.is_file() and (present := json.loads(record.read_text())) == parameters:
        return folder
    if folder.is_dir() and any(folder.iterdir()):
        found = f"was generated with {present}" if record.is_file() else f"has no {record.name}"
        raise ValueError(
            f"{folder} is not empty and {found}, but {parameters} was asked for. "
            "Delete the folder, or choose another dataset id or name."
        )
    write_cases(folder, kind, name, "Tr", num_training, size, seed)
    write_cases(folder, kind, name, "Ts", num_test, size, seed)
    description = dataset_json(kind, num_training, regions)
    (folder / "dataset.json").write_text(json.dumps(description, indent=2))
    # Written last: an interrupted run is not taken for a finished one.
    record.write_text(json.dumps(parameters, indent=2))
    return folder


def main() -> None:
    """Command line of generate_dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("raw_folder", type=Path, metavar="OUTPUT_FOLDER")
    parser.add_argument("--dataset_id", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--num_training", type=int, default=12)
    parser.add_argument("--num_test", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=3, default=(32, 64, 64), metavar=("D", "H", "W"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--regions",
        action=argparse.BooleanOptionalAction,
        help="overlapping regions instead of plain labels (default: for mr only)",
    )
    print(generate_dataset(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
