"""Blur, gamma and contrast of many views at once: each channel as if it were alone."""

import itertools

import pytest
import torch

from nnunetv2_pcrl.views.intensity import (
    adjust_contrast_,
    adjust_gamma_,
    blur_,
    blur_matrices,
)
from nnunetv2_pcrl.views.ranges import robust_range

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = [
    pytest.param((3, 2, 20, 24), id="2d"),
    pytest.param((3, 2, 10, 12, 9), id="3d"),
    pytest.param((3, 2, 1, 16, 14), id="one slice"),
]


def noise_views(shape) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 10


def values_of(low: float, high: float) -> torch.Tensor:
    """One value per view and channel."""
    return torch.linspace(low, high, 6).view(3, 2)


def gamma_(views, values):
    adjust_gamma_(views, values)
    return views


def contrast_(views, values):
    adjust_contrast_(views, values)
    return views


def blur(views, values):
    blur_(views, blur_matrices(values, views.shape[2:]))
    return views


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("change", "values"),
    [(gamma_, values_of(0.7, 1.4)), (contrast_, values_of(0.6, 1.4)), (blur, values_of(0, 2))],
    ids=["gamma", "contrast", "blur"],
)
def test_all_channels_of_all_views_at_once_equal_each_alone(shape, change, values):
    views = noise_views(shape)
    together = change(views.clone(), values)
    for v, c in itertools.product(range(3), range(2)):
        part = slice(v, v + 1), slice(c, c + 1)
        alone = change(views[part].clone(), values[part]) if values[v, c] else views[part]
        torch.testing.assert_close(together[part], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 0.74, 1.35, 3.0])
def test_gamma_of_an_image_that_is_mostly_background_equals_the_power(gamma):
    views = noise_views((1, 1, 20, 24)).clamp(min=11.0)
    low, high = (float(end) for end in robust_range(views[0]))
    part = (views - low) / (high - low)
    inside = part.clamp(0, 1)
    expected = (inside**gamma + part - inside) * (high - low) + low
    adjust_gamma_(views, torch.tensor([[gamma]]))
    torch.testing.assert_close(views, expected, atol=1e-5, rtol=1e-5)


def test_without_blur_there_are_no_matrices():
    assert blur_matrices(torch.tensor([[0.0, 0.09]]), (4, 6)) == {}


def test_rows_of_the_matrices_sum_to_one_and_too_narrow_blurs_are_the_identity():
    matrices = blur_matrices(torch.tensor([[0.05, 1.5]]), (4, 7, 7))
    assert set(matrices) == {4, 7}
    for length, matrix in matrices.items():
        assert matrix.shape == (1, 2, length, length)
        torch.testing.assert_close(matrix.sum(-1), torch.ones(1, 2, length))
        assert torch.equal(matrix[0, 0], torch.eye(length))
