"""The comparison against its literal formula, and the collapse watch."""

import math

import pytest
import torch
from planned_networks import random_images

from nnunetv2_pcrl.losses.similarity import projection_spread, symmetric_similarity


def cosines(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Cosine of every row of a with the same row of b, written out."""
    return (a * b).sum(dim=1) / (a.square().sum(dim=1).sqrt() * b.square().sum(dim=1).sqrt())


def literal_similarity(p_a, p_b, z_a, z_b) -> torch.Tensor:
    """S = -1/2 [cos(p_a, sg(z_b)) + cos(p_b, sg(z_a))], averaged over the batch."""
    return -0.5 * (cosines(p_a, z_b.detach()) + cosines(p_b, z_a.detach())).mean()


def pair(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and projections of two views of five images."""
    return tuple(
        random_images(2, 5, 7, seed=seed + k, dtype=torch.float64).requires_grad_() for k in (0, 1)
    )


def test_it_equals_the_literal_formula_with_gradients():
    predictions, projections = pair()
    expected = literal_similarity(*predictions, *projections)
    (expected_gradient,) = torch.autograd.grad(expected, predictions)
    loss = symmetric_similarity(predictions, projections)
    (gradient,) = torch.autograd.grad(loss, predictions)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)
    assert gradient.any()


def test_the_projections_receive_no_gradient():
    predictions, projections = pair()
    symmetric_similarity(predictions, projections).backward()
    assert projections.grad is None
    assert predictions.grad.flatten(1).any(dim=1).all()


def test_each_prediction_is_compared_with_the_other_view_not_with_its_own():
    z = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert symmetric_similarity(z, z) == pytest.approx(0.0)
    assert symmetric_similarity(z.flip(0), z) == pytest.approx(-1.0)


def test_two_images_at_known_angles_give_the_mean_of_their_cosines():
    # cos 60 degrees for one image in both directions, -1 and 0 for the other.
    predictions = torch.tensor([[[2.0, 0.0], [1.0, 0.0]], [[0.5, math.sqrt(0.75)], [0.0, 3.0]]])
    projections = torch.tensor([[[5.0, 0.0], [4.0, 0.0]], [[0.5, math.sqrt(0.75)], [-1.0, 0.0]]])
    assert symmetric_similarity(predictions, projections) == pytest.approx(
        -(0.5 + 0.5 - 1.0 + 0.0) / 4
    )


def test_it_is_symmetric_in_the_views():
    predictions, projections = pair()
    swapped = symmetric_similarity(predictions.flip(0), projections.flip(0))
    torch.testing.assert_close(symmetric_similarity(predictions, projections), swapped)


def test_it_is_minus_one_at_agreement_and_one_at_opposition():
    z = random_images(1, 5, 7).expand(2, 5, 7)
    assert symmetric_similarity(3 * z, z) == pytest.approx(-1)
    assert symmetric_similarity(-2 * z, z) == pytest.approx(1)


@pytest.mark.parametrize(
    ("predictions", "projections"),
    [((2, 5, 7), (2, 5, 6)), ((3, 5, 7), (3, 5, 7)), ((2, 7), (2, 7)), ((2, 4, 7), (2, 5, 7))],
)
def test_other_shapes_are_refused(predictions, projections):
    with pytest.raises(ValueError, match=r"must both be \[2, B, F\], got"):
        symmetric_similarity(torch.ones(predictions), torch.ones(projections))


def test_the_spread_of_equal_projections_is_zero():
    z = random_images(1, 32).expand(16, 32)
    assert projection_spread(z) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("num_features", [8, 320])
def test_the_spread_of_random_projections_is_about_one(num_features):
    z = random_images(64, num_features, dtype=torch.float64)
    assert 0.9 < projection_spread(z) < 1.01


def test_the_spread_is_the_standard_deviation_of_unit_vectors_times_the_root_of_f():
    # Unit vectors (1, 0) and (0, 1): each channel is 0 and 1, standard deviation 1/2.
    z = torch.tensor([[3.0, 0.0], [0.0, 9.0]])
    assert projection_spread(z) == pytest.approx(0.5 * math.sqrt(2))


def test_the_spread_has_no_gradient():
    assert not projection_spread(random_images(4, 3).requires_grad_()).requires_grad
