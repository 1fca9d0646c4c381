"""nnU-Net's augmentation of images without labels, with fewer liberties for X-ray films."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

from nnunetv2_pcrl.settings.plans_file import CLASSIFICATION
from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings
from nnunetv2_pcrl.views.seeding import seeded_generator
from nnunetv2_pcrl.weights.channels import channel_names_of

FILM_ROTATION_DEGREES = 15.0
_FILM_NAMES = ("x-ray", "xray", "x ray", "radiograph", "cxr")
# Modalities of DICOM.
_FILM_MODALITIES = ("cr", "dx")


def are_films(channel_names: Sequence[str]) -> bool:
    """Whether channels are X-ray films, in which left and right, up and down are known.

    The heart lies on the left: a mirrored chest film shows a rare disease.

    Args:
        channel_names: as in dataset.json.
    """
    names = [name.lower() for name in channel_names]
    return bool(names) and all(
        name in _FILM_MODALITIES or any(word in name for word in _FILM_NAMES) for name in names
    )


def rotation_range(max_degrees: float) -> tuple[float, float]:
    """Angles as nnU-Net's transforms take them, in radians."""
    return -math.radians(max_degrees), math.radians(max_degrees)


@contextmanager
def drawing_from(*numbers: int) -> Iterator[None]:
    """Makes the global draws of torch and numpy a function of these numbers, inside the body.

    batchgeneratorsv2 draws globally. Afterwards both sources go on as if nothing had been drawn.
    """
    seed = seeded_generator(*numbers).initial_seed()
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)


@dataclass(frozen=True)
class Augmentation:
    """Augments inputs; equal numbers give equal draws.

    Attributes:
        transforms: nnU-Net's, which may write into what they are given.
        is_masked: whether a channel was normalised inside the object only. What is 0 in all
            channels is taken for outside, as nnU-Net's preprocessing leaves it.
    """

    transforms: BasicTransform
    is_masked: bool = False

    def __call__(self, image: Tensor, numbers: Sequence[int]) -> Tensor:
        """An augmented image of the same shape; the given one is left as it is.

        Args:
            image: shape [C, ...].
            numbers: that decide the draws.
        """
        given = {"image": image.clone()}
        if self.is_masked:
            outside = (image == 0).all(0, keepdim=True)
            given["segmentation"] = torch.where(outside, -1, 0).to(torch.int16)
        with drawing_from(*numbers):
            return self.transforms(**given)["image"]


def augmentation_of(trainer: nnUNetTrainer, settings: ClassificationSettings) -> Augmentation:
    """nnU-Net's augmentation for the trainer's plan, as far as the settings leave it.

    Raises:
        ValueError: if the settings name an axis that the plan does not have.
    """
    plan = trainer.configuration_manager
    rotation, is_flat, _, mirror_axes = (
        trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    )
    num_axes = len(plan.patch_size)
    if are_films(channel_names_of(trainer.dataset_json) or ()):
        rotation, mirror_axes = rotation_range(FILM_ROTATION_DEGREES), ()
    if settings.max_rotation_degrees is not None:
        rotation = rotation_range(settings.max_rotation_degrees)
    if settings.mirror_axes is not None:
        mirror_axes = settings.mirror_axes
        if any(axis not in range(num_axes) for axis in mirror_axes):
            raise ValueError(
                f'"mirror_axes" {list(mirror_axes)} (settings in section "{CLASSIFICATION}") names '
                f"an axis that a plan of {num_axes} axes does not have; they are 0 to "
                f"{num_axes - 1}."
            )
    transforms = trainer.get_training_transforms(
        plan.patch_size,
        rotation,
        None,
        mirror_axes,
        is_flat,
        use_mask_for_norm=plan.use_mask_for_norm,
    )
    return Augmentation(transforms, any(plan.use_mask_for_norm))
