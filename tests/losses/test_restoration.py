"""The restoration error: hand values, resizing to the target's own size, all channels."""

import pytest
import torch
from planned_networks import random_images

from nnunetv2_pcrl.losses.restoration import restoration_error

SIZES = {"2d": (4, 6), "3d": (4, 6, 4), "anisotropic": (4, 8, 6)}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("num_channels", [1, 3])
def test_at_equal_sizes_it_is_the_mean_of_squared_differences(size, num_channels):
    restoration, target = (
        random_images(2, num_channels, *size, seed=k, dtype=torch.float64) for k in (0, 1)
    )
    restoration.requires_grad_()
    loss = restoration_error(restoration, target)
    (gradient,) = torch.autograd.grad(loss, restoration)
    torch.testing.assert_close(loss, ((restoration - target) ** 2).sum() / target.numel())
    torch.testing.assert_close(gradient, 2 * (restoration - target).detach() / target.numel())


def test_an_error_in_one_channel_of_two_counts_half():
    target = torch.zeros(1, 2, 4, 4)
    restoration = target.clone()
    restoration[:, 1] = 3.0
    assert restoration_error(restoration, target) == 4.5


def test_restoring_the_mean_of_z_scored_images_gives_about_one():
    target = random_images(4, 1, 32, 32)
    assert restoration_error(torch.zeros_like(target), target) == pytest.approx(1, abs=0.05)


def linear_weights(num_in: int, num_out: int) -> torch.Tensor:
    """Matrix of linear interpolation between cell centres along one axis, written out."""
    matrix = torch.zeros(num_out, num_in, dtype=torch.float64)
    for i in range(num_out):
        position = (i + 0.5) * num_in / num_out - 0.5
        position = min(max(position, 0), num_in - 1)
        low = int(position)
        high = min(low + 1, num_in - 1)
        matrix[i, low] += 1 - (position - low)
        matrix[i, high] += position - low
    return matrix


def literally_resized(x: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    for axis, num_out in enumerate(size, start=2):
        x = (x.movedim(axis, -1) @ linear_weights(x.shape[axis], num_out).T).movedim(-1, axis)
    return x


@pytest.mark.parametrize(
    ("low", "size"),
    [((2, 3), (8, 12)), ((2, 3, 2), (4, 6, 4)), ((4, 2, 3), (4, 8, 12)), ((2, 2, 3), (4, 8, 12))],
    ids=["2d", "3d", "anisotropic", "anisotropic on every axis"],
)
@pytest.mark.parametrize("num_channels", [1, 2])
def test_lower_levels_are_resized_linearly_to_the_size_of_the_target(low, size, num_channels):
    restoration = random_images(2, num_channels, *low, dtype=torch.float64).requires_grad_()
    target = random_images(2, num_channels, *size, seed=1, dtype=torch.float64)
    expected = (literally_resized(restoration, size) - target).square().mean()
    (expected_gradient,) = torch.autograd.grad(expected, restoration)
    loss = restoration_error(restoration, target)
    (gradient,) = torch.autograd.grad(loss, restoration)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_a_ramp_along_the_axis_that_is_not_strided_is_restored_exactly():
    # Trap 6: strides (1, 4, 4); upsampling by 4 on every axis would give another shape.
    depth = torch.arange(4.0).reshape(1, 1, 4, 1, 1)
    assert restoration_error(depth.expand(1, 1, 4, 2, 2), depth.expand(1, 1, 4, 8, 8)) == 0


@pytest.mark.parametrize(
    "shape", [(3, 2, 4, 4), (2, 1, 4, 4), (2, 2, 4, 4, 4)], ids=["batch", "channels", "axes"]
)
def test_another_batch_channel_or_axis_number_is_refused(shape):
    with pytest.raises(ValueError, match="batch, channels and number of axes must agree"):
        restoration_error(torch.zeros(shape), torch.zeros(2, 2, 8, 8))


def test_the_target_receives_no_change():
    target = random_images(1, 1, 8, 8)
    before = target.clone()
    restoration_error(random_images(1, 1, 2, 2, seed=1), target)
    assert torch.equal(target, before)
