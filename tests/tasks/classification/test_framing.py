"""From images of any size to inputs of one size, in 2D, 3D and anisotropic."""

import numpy as np
import pytest
import torch

from nnunetv2_pcrl.tasks.classification.framing import Framing, framing_of
from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings
from nnunetv2_pcrl.tasks.encoder.predicting import case_logits
from nnunetv2_pcrl.views.boxes import Box

PATCHES = {"2d": (8, 12), "3d": (8, 8, 12), "anisotropic": (2, 12, 8)}
every_patch = pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)


def all_inputs(framing, image):
    return [
        framing.framed(image[(slice(None), *box.slices)]) for box in framing.boxes(image.shape[1:])
    ]


def read(framing, image, box):
    return framing.framed(image[(slice(None), *box.slices)])


@every_patch
@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("keep_aspect", [True, False])
@pytest.mark.parametrize("size", [(1, 30, 20), (5, 4, 4), (20, 9, 31)])
def test_every_input_has_the_planned_size(patch, is_whole, keep_aspect, size, generator):
    framing = Framing(patch, is_whole, keep_aspect)
    image = torch.randn(2, *size, generator=generator)
    inputs = all_inputs(framing, image)
    assert {tuple(one.shape) for one in inputs} == {(2, *patch)}
    drawn = framing.drawn_box(size, generator)
    assert read(framing, image, drawn).shape == (2, *patch)


def test_a_wide_film_keeps_its_proportions_and_is_padded_above_and_below():
    image = torch.ones(1, 1, 10, 40)
    (framed,) = all_inputs(Framing((16, 16)), image)
    # 40 columns become 16, so 10 rows become 4.
    expected = torch.zeros(16, 16)
    expected[6:10] = 1
    torch.testing.assert_close(framed[0], expected)


def test_without_its_proportions_an_image_fills_the_input():
    (framed,) = all_inputs(Framing((16, 16), keep_aspect=False), torch.ones(1, 1, 10, 40))
    torch.testing.assert_close(framed[0], torch.ones(16, 16))


def test_an_image_of_the_planned_size_stays_as_it_is(generator):
    image = torch.randn(1, 8, 8, 12, generator=generator)
    (framed,) = all_inputs(Framing((8, 8, 12)), image)
    assert torch.equal(framed, image)


def test_reducing_takes_means_and_misses_no_line():
    image = torch.zeros(1, 1, 64, 64)
    image[..., 33, :] = 1
    (framed,) = all_inputs(Framing((8, 8)), image)
    torch.testing.assert_close(framed[0].sum(0), torch.full((8,), 1 / 8), rtol=1e-4, atol=1e-4)


def test_a_volume_is_resized_along_each_axis_as_a_product_of_its_axes(generator):
    profiles = [torch.rand(size, generator=generator) for size in (20, 6, 30)]
    volume = torch.einsum("i,j,k->ijk", *profiles)[None]
    (framed,) = all_inputs(Framing((8, 12, 10), keep_aspect=False), volume)
    resized = []
    for profile, size in zip(profiles, (8, 12, 10), strict=True):
        line = profile.expand(1, 1, 1, -1)
        row = torch.nn.functional.interpolate(line, (1, size), mode="bilinear", antialias=True)
        resized.append(row.flatten())
    torch.testing.assert_close(framed[0], torch.einsum("i,j,k->ijk", *resized))


def test_a_2d_network_sees_every_slice_of_a_volume(generator):
    volume = torch.randn(1, 5, 8, 12, generator=generator)
    framing = Framing((8, 12))
    inputs = all_inputs(framing, volume)
    assert all(torch.equal(one, volume[:, i]) for i, one in enumerate(inputs))
    assert len(inputs) == 5
    starts = {framing.drawn_box((5, 8, 12), generator).start[0] for _ in range(60)}
    assert starts == set(range(5))


@pytest.mark.parametrize(
    ("patch", "size", "starts"),
    [
        ((8, 8), (1, 8, 16), [(0, 0, 0), (0, 0, 4), (0, 0, 8)]),
        ((8, 8), (2, 8, 8), [(0, 0, 0), (1, 0, 0)]),
        ((4, 8, 8), (6, 8, 8), [(0, 0, 0), (2, 0, 0)]),
        ((4, 8, 8), (2, 5, 12), [(0, 0, 0), (0, 0, 4)]),
    ],
)
def test_windows_lie_half_a_window_apart_and_cover_the_image(patch, size, starts):
    boxes = Framing(patch, is_whole=False).boxes(size)
    assert [box.start for box in boxes] == starts
    covered = np.zeros(size, dtype=bool)
    for box in boxes:
        covered[box.slices] = True
        assert Box((0, 0, 0), size).contains(box)
    assert covered.all()


def test_a_drawn_window_may_be_the_last_one(generator):
    framing = Framing((4, 4, 4), is_whole=False)
    starts = {framing.drawn_box((4, 4, 6), generator).start for _ in range(60)}
    assert starts == {(0, 0, 0), (0, 0, 1), (0, 0, 2)}


class MeanOfImage(torch.nn.Module):
    """One logit: the mean of the image."""

    def forward(self, images):
        return images.flatten(1).mean(1, keepdim=True)


@every_patch
def test_a_constant_volume_has_the_logit_of_a_single_window(patch):
    image = torch.full((1, 9, 24, 24), 0.7)
    inputs = all_inputs(Framing(patch, is_whole=False), image)
    assert len(inputs) > 3
    batches = [
        {"image": torch.stack(inputs[:2]), "case": ["a", "a"]},
        {"image": torch.stack(inputs[2:]), "case": ["a"] * (len(inputs) - 2)},
    ]
    logits = case_logits(MeanOfImage(), batches, torch.device("cpu"), torch.no_grad)
    assert logits["a"].item() == pytest.approx(0.7)


def test_logits_of_a_case_are_the_mean_of_its_windows_whatever_the_batches():
    images = torch.arange(4.0)[:, None, None]
    batches = [
        {"image": images[:3], "case": ["a", "b", "a"]},
        {"image": images[3:], "case": ["b"]},
    ]
    logits = case_logits(MeanOfImage(), batches, torch.device("cpu"), torch.no_grad)
    assert {case: value.item() for case, value in logits.items()} == {"a": 1.0, "b": 2.0}


def test_proportions_are_kept_in_2d_and_not_in_3d_unless_the_settings_say_so():
    assert framing_of([8, 8], ClassificationSettings()) == Framing((8, 8), True, True)
    assert framing_of([8, 8, 8], ClassificationSettings()) == Framing((8, 8, 8), True, False)
    settings = ClassificationSettings(keep_aspect=True, input="windows")
    assert framing_of([8, 8, 8], settings) == Framing((8, 8, 8), False, True)
