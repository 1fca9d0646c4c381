"""Images that readers take and a network cannot use, found by their headers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunetv2_pcrl.datasets.headers import read_header
from nnunetv2_pcrl.datasets.image_files import ITK_ENDINGS, ending_of

# An image may grow to so many voxels in any case, and beyond that by this factor.
MAX_VOXELS = 2**27
MAX_GROWTH = 8


def check_can_be_used(image: str | Path) -> None:
    """Refuses volumes in colours, of complex numbers, and without voxels.

    Images that only nnU-Net's other readers read pass.

    Raises:
        ValueError: with the reason.
    """
    path = Path(image)
    if ending_of(path).lower() not in ITK_ENDINGS:
        return
    try:
        header = read_header(path)
    except ValueError as error:
        if "the header cannot be read" in str(error):
            return
        raise
    if header.num_components > 1:
        raise ValueError(
            f"it is a colour image ({header.num_components} values per voxel); make a file of each "
            f"colour, or one of their mean"
        )


def check_size(
    shape: Sequence[int],
    spacing: Sequence[float],
    plans: PlansManager,
    configuration: ConfigurationManager,
) -> None:
    """Refuses images of which the plan's spacing would leave nothing, or make too much.

    Args:
        shape, spacing: of the image without its empty margin, in the order of its array.
        plans, configuration: nnU-Net plans.

    Raises:
        ValueError: with the numbers.
    """
    order = plans.transpose_forward
    shape, spacing = ([values[axis] for axis in order] for values in (shape, spacing))
    target = list(configuration.spacing)
    if len(target) < len(shape):
        target = [spacing[0], *target]
    new = [round(n * s / t) for n, s, t in zip(shape, spacing, target, strict=True)]
    is_empty = min(new) < 1
    growth = np.prod(new, dtype=float) / np.prod(shape, dtype=float)
    if is_empty or (np.prod(new, dtype=float) > MAX_VOXELS and growth > MAX_GROWTH):
        raise ValueError(
            f"its spacing is {_numbers(spacing)} mm, and at the plan's {_numbers(target)} mm its "
            f"{_numbers(shape)} voxels would become {_numbers(new)}: correct its header"
        )


def _numbers(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
