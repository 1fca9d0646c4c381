"""What a person can choose of a preparation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PreparationSettings:
    """What a person can choose.

    Attributes:
        configurations: to preprocess; those that the plans lack are left out.
        planner: name of nnU-Net's planner.
        target: plans of the data set to fine-tune on; None plans for the images themselves.
        normalization: "own" normalises by the images' own intensities, "target" as the target does.
        plans_name: of the new plans; None derives it.
        include_test_images: use the images of imagesTs too.
        num_processes: worker processes.
        clean: forget earlier measurements, plans and preprocessed cases of this name.
    """

    configurations: Sequence[str] = ("2d", "3d_fullres", "3d_lowres")
    planner: str = "ExperimentPlanner"
    target: Mapping[str, Any] | None = None
    normalization: str = "own"
    plans_name: str | None = None
    include_test_images: bool = False
    num_processes: int = 1
    clean: bool = False
