import math

import pytest
import torch
from planned_networks import random_images

from nnunetv2_pcrl.losses.similarity import symmetric_similarity
from nnunetv2_pcrl.monitoring.representation import (
    cosine_matrix,
    effective_rank,
    mean_off_diagonal,
    representation_numbers,
    retrieval,
)

BATCH, NUM_LOCAL = 5, 3


def embeddings(number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return random_images(number, 8, seed=seed), random_images(number, 8, seed=seed + 1)


def test_the_cosine_of_matching_images_is_the_comparison_of_the_two_views():
    first, second = embeddings(BATCH, 0), embeddings(BATCH, 10)
    numbers = representation_numbers(first, second, random_images(NUM_LOCAL * BATCH, 8, seed=20))
    predictions, projections = (torch.stack([first[i], second[i]]) for i in (1, 0))
    expected = -symmetric_similarity(predictions, projections)
    torch.testing.assert_close(numbers["cosine_matching"], expected)
    assert list(numbers) == ["cosine_matching", "cosine_other", "retrieval", "effective_rank"]


def test_other_images_are_all_pairs_but_the_diagonal():
    assert mean_off_diagonal(torch.tensor([[9.0, 1.0], [3.0, 9.0]])) == 2
    axes = torch.eye(3)
    assert torch.equal(cosine_matrix(5 * axes, axes), axes)


def test_retrieval_counts_local_views_that_find_their_own_image():
    images = torch.eye(4)
    assert retrieval(torch.cat([images, images]), images) == 1
    wrong = images.roll(1, dims=0)
    assert retrieval(torch.cat([images, wrong]), images) == 0.5


def test_local_views_that_equal_the_first_view_find_it():
    z, _ = embeddings(BATCH, 0)
    numbers = representation_numbers((z, z), (z, z), z.repeat(NUM_LOCAL, 1))
    assert numbers["retrieval"] == 1
    assert numbers["cosine_matching"] == pytest.approx(1, abs=1e-5)


def test_the_effective_rank_counts_directions():
    corners = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    assert effective_rank(corners) == pytest.approx(2)
    assert effective_rank(corners + 7) == pytest.approx(2)
    assert effective_rank(corners[:2]) == pytest.approx(1)
    assert effective_rank(torch.ones(4, 3)) == 0
    assert effective_rank(torch.tensor([[1.0, math.nan], [0.0, 1.0]])).isnan()
    # Singular values 3 and 1: entropy of (3/4, 1/4).
    stretched = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(stretched) == pytest.approx(math.exp(entropy))
