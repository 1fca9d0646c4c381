"""Projections of all levels: one population of rows, nothing kept between calls."""

import torch
from planned_networks import random_images

from nnunetv2_pcrl.networks.projector import Projector, joined_levels


def projector() -> Projector:
    torch.manual_seed(0)
    return Projector(6, 10, 4).double()


def features(seed: int = 0) -> torch.Tensor:
    return random_images(2, 5, 6, seed=seed, dtype=torch.float64)


def test_levels_are_joined_from_low_to_high_resolution():
    pooled = {1: torch.full((2, 3, 4), 1.0), 0: torch.zeros(2, 3, 5)}
    joined = joined_levels(pooled)
    assert joined.shape == (2, 3, 9)
    assert joined[0, 0].tolist() == [0.0] * 5 + [1.0] * 4


def test_views_keep_their_places():
    first = projector()(features())
    swapped = projector()(features().flip(0))
    assert first.shape == (2, 5, 4)
    torch.testing.assert_close(first.flip(0), swapped)


def test_training_and_evaluation_compute_the_same_and_keep_nothing():
    head = projector()
    state = {name: value.clone() for name, value in head.state_dict().items()}
    trained = head(features())
    head(features(1))
    head.eval()
    assert torch.equal(head(features()), trained)
    assert all(torch.equal(value, state[name]) for name, value in head.state_dict().items())


def test_every_parameter_gets_gradient():
    head = projector()
    head(features()).square().sum().backward()
    assert all(p.grad.abs().max() > 1e-9 for p in head.parameters())
