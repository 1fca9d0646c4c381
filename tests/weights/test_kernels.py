"""Kernels of another size or dimension, against what the convolution then computes."""

import pytest
import torch
from planned_networks import random_images
from torch.nn import functional

from nnunetv2_pcrl.weights.kernels import fit_kernel


def conv(images, weight):
    """Convolution with nnU-Net's padding, without bias."""
    operation = functional.conv2d if images.ndim == 4 else functional.conv3d
    return operation(images, weight, padding=[(k - 1) // 2 for k in weight.shape[2:]])


def transposed(images, weight):
    """Transposed convolution whose stride is its kernel, as in nnU-Net's decoders."""
    operation = functional.conv_transpose2d if images.ndim == 4 else functional.conv_transpose3d
    return operation(images, weight, stride=weight.shape[2:])


def weight_of(*kernel, seed=0):
    return random_images(4, 3, *kernel, seed=seed, dtype=torch.float64)


def images_of(*shape):
    return random_images(2, 3, *shape, seed=1, dtype=torch.float64)


@pytest.mark.parametrize(
    ("before", "after"), [((1, 3, 3), (3, 3, 3)), ((1, 1), (3, 5)), ((3,) * 2, (3, 3))]
)
def test_a_grown_kernel_computes_what_it_computed(before, after):
    weight, images = weight_of(*before), images_of(*(6, 5, 4)[: len(before)])
    grown = fit_kernel(weight, after, transposed=False)
    assert grown.shape[2:] == after
    torch.testing.assert_close(conv(images, grown), conv(images, weight))


@pytest.mark.parametrize(
    ("before", "after"), [((3, 3, 3), (1, 3, 3)), ((5, 3, 3), (3, 3, 3)), ((3, 3), (1, 1))]
)
def test_a_shrunk_kernel_answers_to_what_does_not_vary_along_the_axis_as_before(before, after):
    weight = weight_of(*before)
    changed = [i + 2 for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    images = (
        images_of(*(7,) * len(before)).mean(changed, keepdim=True).expand(2, 3, *(7,) * len(before))
    )
    inner = (slice(None), slice(None), *[slice(2, -2)] * len(before))
    shrunk = fit_kernel(weight, after, transposed=False)
    assert shrunk.shape[2:] == after
    torch.testing.assert_close(conv(images, shrunk)[inner], conv(images, weight)[inner])


def test_three_to_one_is_the_sum_and_five_to_three_keeps_the_middle():
    taps = torch.tensor([1.0, 2, 3, 4, 5]).view(1, 1, 1, 5)
    assert fit_kernel(taps, (1, 3), False).flatten().tolist() == [3, 3, 9]
    assert fit_kernel(taps[..., :3], (1, 1), False).flatten().tolist() == [6]
    assert fit_kernel(taps[..., :1], (1, 3), False).flatten().tolist() == [0, 1, 0]


def test_an_inflated_kernel_treats_every_slice_as_in_2d():
    weight, images = weight_of(3, 3), images_of(4, 6, 5)
    inflated = fit_kernel(weight, (3, 3, 3), False)
    expected = torch.stack([conv(images[:, :, z], weight) for z in range(4)], dim=2)
    torch.testing.assert_close(conv(images, inflated), expected)


def test_a_kernel_summed_over_its_first_axis_answers_to_equal_slices_as_before():
    weight, slices = weight_of(3, 3, 3), images_of(6, 5)
    volume = slices[:, :, None].expand(-1, -1, 5, -1, -1)
    expected = conv(volume, weight)[:, :, 2]
    torch.testing.assert_close(conv(slices, fit_kernel(weight, (3, 3), False)), expected)


def test_a_transposed_kernel_of_stride_two_fills_both_voxels():
    weight, images = weight_of(1, 2, 2).transpose(0, 1), images_of(2, 3, 3)
    doubled = fit_kernel(weight, (2, 2, 2), transposed=True)
    expected = transposed(images, weight).repeat_interleave(2, dim=2)
    torch.testing.assert_close(transposed(images, doubled), expected)


def test_a_transposed_kernel_of_stride_one_gives_the_mean_of_both_voxels():
    weight, images = weight_of(2, 2, 2).transpose(0, 1), images_of(3, 3, 3)
    single = fit_kernel(weight, (1, 2, 2), transposed=True)
    both = transposed(images, weight)
    torch.testing.assert_close(transposed(images, single), (both[:, :, ::2] + both[:, :, 1::2]) / 2)


def test_transposed_kernels_change_dimension():
    flat, volume = weight_of(2, 2), weight_of(2, 2, 2)
    assert torch.equal(fit_kernel(flat, (2, 2, 2), True), flat[:, :, None].expand(4, 3, 2, 2, 2))
    torch.testing.assert_close(fit_kernel(volume, (2, 2), True), volume.mean(2))


def test_the_given_weight_is_not_modified():
    weight = weight_of(3, 3, 3)
    before = weight.clone()
    fit_kernel(weight, (1, 3, 3), False).zero_()
    fit_kernel(weight, (3, 3, 3), False)
    assert torch.equal(weight, before)
