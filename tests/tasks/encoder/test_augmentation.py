"""nnU-Net's augmentation as a classification uses it."""

import math

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.nnunet_masking import MaskImageTransform
from classified_dataset import classified_dataset

from nnunetv2_pcrl.tasks.encoder.augmentation import (
    Augmentation,
    are_films,
    augmentation_of,
    drawing_from,
)
from nnunetv2_pcrl.trainers import PCRLv2ClassificationTrainer


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["X-ray"], True),
        (["chest xray PA"], True),
        (["CR"], True),
        (["DX", "X-Ray"], True),
        (["CT"], False),
        (["cardiac CR"], False),
        (["X-ray", "T1"], False),
        ([], False),
    ],
)
def test_films_are_told_by_the_names_of_their_channels(names, expected):
    assert are_films(names) is expected


def augmentation(preprocessed, channel="ultrasound", dim=2, mask=False, **settings):
    size = (1, 20, 24) if dim == 2 else (18, 20, 24)
    dataset = classified_dataset(preprocessed, dim, 2, size, **settings)
    dataset.dataset_json["channel_names"] = {"0": channel}
    name = "2d" if dim == 2 else "3d_fullres"
    dataset.plans["configurations"][name]["use_mask_for_norm"] = [mask]
    trainer = dataset.trainer(PCRLv2ClassificationTrainer, name)
    return augmentation_of(trainer, trainer.settings, trainer.input_size(), "classification")


def parts_of(augmented, kind):
    return [one for one in augmented.transforms.transforms if isinstance(one, kind)]


def test_films_are_not_mirrored_and_turned_by_15_degrees_at_most(preprocessed):
    augment = augmentation(preprocessed, "X-ray")
    assert not parts_of(augment, MirrorTransform)
    (spatial,) = parts_of(augment, SpatialTransform)
    assert spatial.rotation == pytest.approx((-math.radians(15), math.radians(15)))


@pytest.mark.parametrize(("dim", "axes"), [(2, (0, 1)), (3, (0, 1, 2))])
def test_other_images_are_mirrored_and_turned_as_nnunet_does(preprocessed, dim, axes):
    augment = augmentation(preprocessed, dim=dim)
    (mirror,) = parts_of(augment, MirrorTransform)
    assert mirror.allowed_axes == axes
    (spatial,) = parts_of(augment, SpatialTransform)
    degrees = 180 if dim == 2 else 30
    assert spatial.rotation == pytest.approx((-math.radians(degrees), math.radians(degrees)))


def test_settings_come_before_what_is_taken_for_films(preprocessed):
    augment = augmentation(preprocessed, "X-ray", mirror_axes=[1], max_rotation_degrees=5.0)
    (mirror,) = parts_of(augment, MirrorTransform)
    assert mirror.allowed_axes == (1,)
    (spatial,) = parts_of(augment, SpatialTransform)
    assert spatial.rotation == pytest.approx((-math.radians(5), math.radians(5)))


def test_an_axis_that_the_plan_does_not_have_is_refused(preprocessed):
    with pytest.raises(ValueError, match=r'"mirror_axes" \[2\].*a plan of 2 axes.*they are 0 to 1'):
        augmentation(preprocessed, mirror_axes=[2])


@pytest.mark.parametrize("dim", [2, 3])
def test_equal_numbers_give_equal_images_and_what_is_given_stays_as_it_is(preprocessed, dim):
    augment = augmentation(preprocessed, dim=dim)
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *[16] * dim))).float()
    before = image.clone()
    shown = [augment(image, (0, n)) for n in range(12)]
    assert torch.equal(image, before)
    assert all(one.shape == image.shape for one in shown)
    assert all(torch.equal(augment(image, (0, n)), one) for n, one in enumerate(shown))
    assert len({float(one.flatten() @ torch.arange(one.numel()).float()) for one in shown}) > 6


def test_draws_leave_the_global_sources_as_they_were():
    torch.manual_seed(1)
    np.random.seed(1)
    expected = (torch.rand(3), np.random.rand(3))
    torch.manual_seed(1)
    np.random.seed(1)
    with drawing_from(5, 6):
        inside = (torch.rand(3), np.random.rand(3))
    after = (torch.rand(3), np.random.rand(3))
    assert torch.equal(after[0], expected[0])
    np.testing.assert_equal(after[1], expected[1])
    assert not torch.equal(inside[0], expected[0])


def test_what_lies_outside_of_a_masked_object_stays_zero(preprocessed):
    augment = augmentation(preprocessed, mask=True)
    assert parts_of(augment, MaskImageTransform)
    image = torch.zeros(1, 16, 16)
    image[:, 4:12, 4:12] = 1 + torch.rand(1, 8, 8)
    for number in range(30):
        shown = augment(image, (number,))
        # Turned, the square still fills less than half of the image.
        assert (shown == 0).float().mean() > 0.4


def test_an_unmasked_image_is_given_without_labels():
    class Recording:
        def __call__(self, **given):
            self.given = given
            return given

    recording = Recording()
    Augmentation(recording)(torch.ones(1, 2, 2), (0,))
    assert set(recording.given) == {"image"}
    Augmentation(recording, True)(torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]]]), (0,))
    assert recording.given["segmentation"].tolist() == [[[-1, 0]]]
