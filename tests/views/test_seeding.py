"""Random sources: repeatable, told apart by every number, uniform over the whole range."""

import itertools

import pytest
import torch

from nnunetv2_pcrl.views.seeding import coin, integer, seeded_generator, uniform


def values_of(*numbers: int) -> tuple[float, ...]:
    return tuple(torch.rand(4, generator=seeded_generator(*numbers)).tolist())


def test_equal_numbers_give_equal_streams_whatever_the_global_seed():
    torch.manual_seed(1)
    first = values_of(3, 0, 1, 7)
    torch.manual_seed(2)
    assert values_of(3, 0, 1, 7) == first


def test_drawing_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    generator = seeded_generator(5)
    uniform(0, 1, generator), integer(0, 9, generator), coin(generator)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_number_and_their_order_matter():
    numbers = list(itertools.product(range(5), repeat=4))
    assert len({values_of(*n) for n in numbers}) == len(numbers)


def test_the_streams_of_neighbouring_numbers_are_not_related():
    streams = torch.stack(
        [torch.randn(4000, generator=seeded_generator(0, 0, i)) for i in range(8)]
    )
    off_diagonal = torch.corrcoef(streams) - torch.eye(8)
    assert off_diagonal.abs().max() < 0.08


def test_a_trailing_zero_makes_another_stream():
    assert values_of(3, 1) != values_of(3, 1, 0)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-2, 1), (5, 9)])
def test_integers_reach_both_ends_and_are_equally_likely(low, high, generator):
    drawn = [integer(low, high, generator) for _ in range(2000)]
    possible = range(low, high + 1)
    assert set(drawn) == set(possible)
    expected = 2000 / len(possible)
    assert all(abs(drawn.count(value) - expected) < 0.2 * expected for value in possible)


def test_uniform_draws_fill_their_range(generator):
    drawn = [uniform(-3.0, 5.0, generator) for _ in range(3000)]
    assert -3.0 <= min(drawn) < -2.98
    assert 4.98 < max(drawn) < 5.0
    assert sum(drawn) / 3000 == pytest.approx(1.0, abs=0.15)
    assert uniform(2.0, 2.0, generator) == 2.0


def test_a_coin_shows_both_sides_equally_often(generator):
    assert 900 < sum(coin(generator) for _ in range(2000)) < 1100
