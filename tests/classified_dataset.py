"""Makes small preprocessed data sets with classes that an image shows, for tests of trainers."""

from pathlib import Path

import numpy as np
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.datasets.classes import ClassTable, write_classes

SETTINGS = {
    "from_scratch": True,
    "batch_size": 4,
    "num_epochs": 2,
    "num_iterations_per_epoch": 3,
}
NAMES = ("bright", "striped")


def classified_dataset(
    preprocessed: Path,
    dim: int = 2,
    num_cases: int = 20,
    size: tuple[int, ...] = (1, 20, 24),
    architecture: str = "PlainConvUNet",
    **settings,
) -> PreparedDataset:
    """Cases of which half are bright in the middle, and every third is striped; two per patient.

    Args:
        preprocessed: nnUNet_preprocessed.
        dim: of the configuration, "2d" or "3d_fullres".
        num_cases: their number.
        size: of the images (D, H, W).
        architecture: of the planned network.
        settings: of the classification, beside `SETTINGS`.
    """
    name = "2d" if dim == 2 else "3d_fullres"
    section = {"classification": {**SETTINGS, **settings}}
    planned = configuration(dim, architecture, nnunetv2_pcrl=section)
    dataset = PreparedDataset(preprocessed, {name: planned})
    targets = np.array([[n % 2, n % 3 == 0] for n in range(num_cases)], dtype=float)
    identifiers = tuple(f"case_{n:02d}" for n in range(num_cases))
    for number, (identifier, (bright, striped)) in enumerate(
        zip(identifiers, targets, strict=True)
    ):
        image = smooth_image((1, *size), number)
        height, width = size[1:]
        image[..., height // 4 : -height // 4, width // 4 : -width // 4] += 3 * bright
        image[..., ::4, :] += 3 * striped
        dataset.add_case(name, identifier, image)
    patients = tuple(f"patient_{n // 2}" for n in range(num_cases))
    table = ClassTable(identifiers, patients, ("",) * num_cases, NAMES, "multilabel", targets)
    write_classes(dataset.folder / "classes.csv", table)
    return dataset
