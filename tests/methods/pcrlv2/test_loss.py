"""Levels, weights and sum of the PCRLv2 loss, apart from any network."""

import itertools
import math
from collections import Counter

import pytest
import torch
from planned_networks import random_images

from nnunetv2_pcrl.methods.pcrlv2.loss import (
    Levels,
    comparison,
    draw_levels,
    level_restoration_weight,
    local_comparison,
)
from nnunetv2_pcrl.methods.pcrlv2.objective import loss_weights
from nnunetv2_pcrl.training.gradient_cache import weighted

NUM_DRAWS = 3000


def drawn(num_levels: int, num_local: int = 6, seed: int = 0, count: int = NUM_DRAWS):
    generator = torch.Generator().manual_seed(seed)
    return [draw_levels(num_levels, num_local, generator) for _ in range(count)]


def assert_uniform(counts: Counter, outcomes: list) -> None:
    """Every outcome occurs as often as chance allows, to five standard deviations."""
    assert set(counts) == set(outcomes)
    expected = counts.total() / len(outcomes)
    for outcome in outcomes:
        assert abs(counts[outcome] - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("num_levels", [1, 3, 5])
def test_every_level_is_drawn_equally_often_the_full_resolution_included(num_levels):
    levels = list(range(num_levels))
    draws = drawn(num_levels)
    assert_uniform(Counter(d.shared for d in draws), levels)
    for n, view in itertools.product(range(6), range(2)):
        assert_uniform(Counter(d.local[n][view] for d in draws), levels)


def test_one_shared_draw_serves_all_comparisons_of_a_step():
    generator = torch.Generator().manual_seed(0)
    draws = [draw_levels(3, 2, generator, is_shared=True) for _ in range(NUM_DRAWS)]
    assert_uniform(Counter(d.shared for d in draws), [0, 1, 2])
    assert all(d.local == ((d.shared, d.shared),) * 2 for d in draws)


def test_the_draws_of_a_step_are_independent_of_one_another():
    draws = drawn(3, num_local=2)
    flat = [(d.shared, *d.local[0], *d.local[1]) for d in draws]
    for i, j in itertools.combinations(range(5), 2):
        assert_uniform(
            Counter((d[i], d[j]) for d in flat), list(itertools.product(range(3), repeat=2))
        )


def test_equal_generators_draw_equal_levels_and_the_global_random_state_is_not_used():
    state = torch.random.get_rng_state()
    assert drawn(4, count=20) == drawn(4, count=20)
    assert drawn(4, count=20, seed=1) != drawn(4, count=20)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_every_local_view_has_a_level_for_each_global_view():
    assert all(len(d.local) == 5 for d in drawn(3, num_local=5, count=10))
    assert all(len(pair) == 2 for d in drawn(3, num_local=5, count=10) for pair in d.local)


def test_levels_name_where_each_view_is_embedded():
    levels = Levels(shared=1, local=((0, 3), (2, 3)))
    assert levels.of_first_global == {1, 0, 2}
    assert levels.of_second_global == {1, 3}
    assert levels.of_local == {0, 2, 3}


@pytest.mark.parametrize("num_epochs", [4, 240, 1000])
def test_the_weight_of_the_level_restoration_falls_along_a_half_cosine(num_epochs):
    assert level_restoration_weight((0) / num_epochs) == 1
    assert level_restoration_weight((num_epochs // 4) / num_epochs) == pytest.approx(
        (1 + math.sqrt(0.5)) / 2
    )
    assert level_restoration_weight((num_epochs // 2) / num_epochs) == pytest.approx(0.5)
    assert level_restoration_weight((num_epochs) / num_epochs) == pytest.approx(0)
    weights = [level_restoration_weight((epoch) / num_epochs) for epoch in range(num_epochs + 1)]
    assert weights == sorted(weights, reverse=True)


def embedding(*shape: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Projection and prediction, random and with gradient."""
    return tuple(
        random_images(*shape, seed=seed + k, dtype=torch.float64).requires_grad_() for k in (0, 1)
    )


def literal_comparison(first, second) -> torch.Tensor:
    """S of two views from (z, p) of each, image by image."""
    (z_a, p_a), (z_b, p_b) = first, second
    cosines = []
    for p, z in ((p_a, z_b.detach()), (p_b, z_a.detach())):
        cosines += [(x @ y) / (x.norm() * y.norm()) for x, y in zip(p, z, strict=True)]
    return -sum(cosines) / len(cosines)


def test_the_comparison_takes_projection_first_and_prediction_second():
    first, second = embedding(4, 6, seed=0), embedding(4, 6, seed=10)
    loss = comparison(first, second)
    torch.testing.assert_close(loss, literal_comparison(first, second))
    loss.backward()
    assert first[0].grad is None and second[0].grad is None
    assert first[1].grad.any() and second[1].grad.any()


WIDTHS = (5, 4, 3)
LEVELS = Levels(shared=0, local=((0, 1), (2, 2), (1, 0), (0, 0)))


def embeddings(*lead: int, seed: int) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    return {
        level: embedding(*lead, width, seed=seed + 10 * level) for level, width in enumerate(WIDTHS)
    }


def test_the_local_comparison_equals_the_literal_sum_with_gradients():
    first, second = embeddings(4, seed=0), embeddings(4, seed=100)
    local = embeddings(4, 4, seed=200)
    total = 0
    for n, (a, b) in enumerate(LEVELS.local):
        of_a = tuple(part[n] for part in local[a])
        of_b = tuple(part[n] for part in local[b])
        total = total + literal_comparison(first[a], of_a) + literal_comparison(second[b], of_b)
    expected = total / (2 * len(LEVELS.local))
    loss = local_comparison(first, second, local, LEVELS)
    torch.testing.assert_close(loss, expected)
    inputs = [p for group in (first, second, local) for _, p in group.values()]
    for ours, literal in zip(
        torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(ours, literal)


def test_every_local_view_receives_gradient_and_no_projection_does():
    # Trap 3: all crops, not crop 0 six times.
    first, second = embeddings(4, seed=0), embeddings(4, seed=100)
    local = embeddings(4, 4, seed=200)
    local_comparison(first, second, local, LEVELS).backward()
    reached = torch.stack([p.grad.flatten(1).any(dim=1) for _, p in local.values()])
    assert reached.any(dim=0).all()
    assert reached.tolist() == [
        [level in pair for pair in LEVELS.local] for level in range(len(WIDTHS))
    ]
    assert all(z.grad is None for group in (first, second, local) for z, _ in group.values())


def test_the_local_comparison_is_a_mean_over_the_crops_and_not_a_sum():
    # Trap 4: the same crops twice leave it as it is.
    first, second = embeddings(4, seed=0), embeddings(4, seed=100)
    local = embeddings(4, 4, seed=200)
    twice = {level: tuple(torch.cat([x, x]) for x in pair) for level, pair in local.items()}
    torch.testing.assert_close(
        local_comparison(first, second, twice, Levels(0, LEVELS.local * 2)),
        local_comparison(first, second, local, LEVELS),
    )


@pytest.mark.parametrize("num_local", [1, 6])
def test_both_comparisons_are_minus_one_at_perfect_agreement(num_local):
    z = random_images(4, 5)
    view = {0: (z, 2 * z)}
    local = {0: tuple(x.expand(num_local, 4, 5) for x in view[0])}
    levels = Levels(0, ((0, 0),) * num_local)
    assert comparison(view[0], view[0]) == pytest.approx(-1)
    assert local_comparison(view, view, local, levels) == pytest.approx(-1)


TERMS = ("restoration", "level_restoration", "global_comparison", "local_comparison")


def total(values: tuple[float, ...], *weights: float) -> float:
    numbers = {name: torch.tensor(value) for name, value in zip(TERMS, values, strict=True)}
    return float(weighted(numbers, loss_weights(*weights)))


def test_the_loss_is_the_sum_of_its_terms_with_beta_at_the_level():
    terms = (0.5, 4.0, -0.25, -0.125)
    assert total(terms, 1.0, 0.0, 1.0) == 0.125
    assert total(terms, 1.0, 0.5, 1.0) == 2.125
    assert total(terms, 1.0, 1.0, 1.0) == 4.125


def test_weights_ablate_terms_and_scale_them():
    terms = (0.5, 4.0, -0.25, -0.125)
    assert total(terms, 1.0, 1.0, 0.0) == 4.5
    assert total(terms, 0.0, 1.0, 1.0) == -0.375
    assert total(terms, 2.0, 0.25, 4.0) == 1.5


def test_at_perfect_agreement_and_restoration_the_loss_is_minus_two():
    assert total((0.0, 0.0, -1.0, -1.0), 1.0, level_restoration_weight(0), 1.0) == -2
