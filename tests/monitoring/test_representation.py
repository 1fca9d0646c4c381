import math

import pytest
import torch
from planned_networks import pretraining_network, random_images

from nnunetv2_pcrl.methods.pcrlv2.loss import comparison
from nnunetv2_pcrl.monitoring.log_names import STATE, of_levels
from nnunetv2_pcrl.monitoring.representation import (
    cosine_matrix,
    effective_rank,
    mean_off_diagonal,
    representation_state,
    retrieval,
)

BATCH, NUM_LOCAL = 5, 3


def pooled(network, number: int, seed: int) -> dict[int, torch.Tensor]:
    channels = network.backbone.level_channels
    return {n: random_images(number, c, seed=seed + n) for n, c in enumerate(channels)}


def test_the_cosine_of_matching_images_is_the_global_comparison():
    network = pretraining_network()
    first, second = pooled(network, BATCH, 0), pooled(network, BATCH, 10)
    state = representation_state(network, first, second, pooled(network, NUM_LOCAL * BATCH, 20))
    for level in range(network.num_levels):
        expected = -comparison(
            network.embed(level, first[level]), network.embed(level, second[level])
        )
        torch.testing.assert_close(state[f"cosine_matching_level_{level}"], expected)
    assert set(state) == set(of_levels(STATE, network.num_levels))


def test_other_images_are_all_pairs_but_the_diagonal():
    assert mean_off_diagonal(torch.tensor([[9.0, 1.0], [3.0, 9.0]])) == 2
    axes = torch.eye(3)
    assert torch.equal(cosine_matrix(5 * axes, axes), axes)


def test_retrieval_counts_local_views_that_find_their_own_image():
    images = torch.eye(4)
    assert retrieval(torch.cat([images, images]), images) == 1
    wrong = images.roll(1, dims=0)
    assert retrieval(torch.cat([images, wrong]), images) == 0.5


def test_local_views_that_equal_the_first_global_view_find_it_in_an_untrained_network():
    network = pretraining_network()
    # Predictions do not point at projections yet, unless they are the same function of them.
    network.predictions = torch.nn.ModuleList(torch.nn.Identity() for _ in network.predictions)
    first = pooled(network, BATCH, 0)
    local = {level: features.repeat(NUM_LOCAL, 1) for level, features in first.items()}
    state = representation_state(network, first, first, local)
    for level in range(network.num_levels):
        assert state[f"retrieval_level_{level}"] == 1
        assert state[f"cosine_matching_level_{level}"] == pytest.approx(1, abs=1e-5)


def test_the_effective_rank_counts_directions():
    corners = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    assert effective_rank(corners) == pytest.approx(2)
    assert effective_rank(corners + 7) == pytest.approx(2)
    assert effective_rank(corners[:2]) == pytest.approx(1)
    assert effective_rank(torch.ones(4, 3)) == 0
    # Singular values 3 and 1: entropy of (3/4, 1/4).
    stretched = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(stretched) == pytest.approx(math.exp(entropy))
