"""nnU-Net's augmentation of images without labels, with fewer liberties for X-ray films."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

from nnunetv2_pcrl.tasks.encoder.settings import EncoderSettings
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


@dataclass(frozen=True)
class Liberties:
    """How far training images are turned and mirrored.

    Attributes:
        rotation: range of angles, radians.
        is_flat: whether slices are turned in their plane only, as nnU-Net does with thick ones.
        drawn_size: voxels per axis of which nothing is missing after turning and scaling.
        mirror_axes: axes of the plan.
    """

    rotation: tuple[float, float]
    is_flat: bool
    drawn_size: tuple[int, ...]
    mirror_axes: tuple[int, ...]

    @classmethod
    def of_nnunet(cls, size: Sequence[int]) -> "Liberties":
        """Those that nnU-Net takes with images of a size."""
        # It asks a trainer for nothing else.
        stand_in = SimpleNamespace(
            configuration_manager=SimpleNamespace(patch_size=tuple(size)),
            print_to_log_file=lambda text: None,
        )
        rotation, is_flat, drawn_size, mirror_axes = (
            nnUNetTrainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size(stand_in)
        )
        drawn_size = tuple(int(n) for n in drawn_size)
        return cls(rotation, bool(is_flat), drawn_size, tuple(mirror_axes))


def augmentation_of(
    trainer: nnUNetTrainer, settings: EncoderSettings, size: Sequence[int], section: str
) -> Augmentation:
    """nnU-Net's augmentation for the trainer's plan, as far as the settings leave it.

    Args:
        trainer: whose data are augmented.
        settings: of the training.
        size: voxels per axis of what the network sees.
        section: of the settings in the plans file, for messages.

    Raises:
        ValueError: if the settings name an axis that the plan does not have.
    """
    plan, liberties = trainer.configuration_manager, Liberties.of_nnunet(size)
    rotation, mirror_axes = liberties.rotation, liberties.mirror_axes
    if are_films(channel_names_of(trainer.dataset_json) or ()):
        rotation, mirror_axes = rotation_range(FILM_ROTATION_DEGREES), ()
    if settings.max_rotation_degrees is not None:
        rotation = rotation_range(settings.max_rotation_degrees)
    if settings.mirror_axes is not None:
        mirror_axes = settings.mirror_axes
        if any(axis not in range(len(size)) for axis in mirror_axes):
            raise ValueError(
                f'"mirror_axes" {list(mirror_axes)} (settings in section "{section}") names '
                f"an axis that a plan of {len(size)} axes does not have; they are 0 to "
                f"{len(size) - 1}."
            )
    transforms = trainer.get_training_transforms(
        size,
        rotation,
        None,
        mirror_axes,
        liberties.is_flat,
        use_mask_for_norm=plan.use_mask_for_norm,
    )
    return Augmentation(transforms, any(plan.use_mask_for_norm))
