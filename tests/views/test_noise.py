"""Noise from hashed numbers: normally distributed, unrelated, and the same wherever it is made."""

import itertools
import math

import pytest
import torch

from nnunetv2_pcrl.views import noise
from nnunetv2_pcrl.views.noise import add_noise_, noise_key

pytestmark = pytest.mark.usefixtures("one_thread")


def noise_of(shape, keys, std: float = 1.0) -> torch.Tensor:
    """Noise on zeros, [V, C, ...]; `keys` [V, C]."""
    views = torch.zeros(shape)
    keys = torch.tensor(keys, dtype=torch.int32).expand(shape[:2])
    add_noise_(views, keys, torch.full(shape[:2], std))
    return views


def pair_by_hand(number: int, key: int) -> tuple[float, float]:
    """The two values that a number and a key give, in Python's own unlimited integers."""
    bits = (number * (2**32 - 1640531527) % 2**32) ^ (key % 2**32)
    bits ^= bits >> 16
    bits = bits * 0x7FEB352D % 2**32
    bits ^= bits >> 15
    bits = bits * 0x846CA68B % 2**32
    bits ^= bits >> 16
    radius = math.sqrt(-2 * math.log((bits % 2**16 + 0.5) / 2**16))
    angle = 2 * math.pi * (bits >> 16) / 2**16
    return radius * math.cos(angle), radius * math.sin(angle)


@pytest.mark.parametrize("key", [0, 1, -1, 123456789, -(2**31), 2**31 - 1])
def test_noise_equals_the_formula_in_unlimited_integers(key):
    values = noise_of((1, 1, 10, 20), [[key]]).flatten()
    expected = [pair_by_hand(number, key) for number in range(100)]
    torch.testing.assert_close(
        values, torch.tensor([first for first, _ in expected] + [second for _, second in expected])
    )


def test_noise_is_normally_distributed():
    values = noise_of((1, 1, 100, 100, 100), [[7]]).flatten()
    assert abs(values.mean()) < 0.005
    assert values.std().item() == pytest.approx(1, abs=0.003)
    assert (values**4).mean().item() == pytest.approx(3, abs=0.03)
    # Kolmogorov and Smirnov: the largest distance between both distributions, 1 % level.
    ranks = (torch.arange(len(values)) + 0.5) / len(values)
    distance = (torch.special.ndtr(values.double().sort().values) - ranks).abs().max()
    assert distance < 1.63 / math.sqrt(len(values))


def test_values_near_one_another_and_of_other_keys_are_not_related():
    keys = [[noise_key(seed, channel) for channel in range(3)] for seed in (0, 1, 2, 2**31 - 1)]
    values = noise_of((4, 3, 40, 40, 40), keys)
    first = values[0, 0].flatten()
    half = len(first) // 2
    shifts = (1, 2, 3, 39, 40, 41, 1600, 1601, half - 1, half, half + 1)
    limit = 5 / math.sqrt(half)
    for shift in shifts:
        assert abs(torch.corrcoef(torch.stack([first[shift:], first[:-shift]]))[0, 1]) < limit
    off_diagonal = torch.corrcoef(values.flatten(0, 1).flatten(1)) - torch.eye(12)
    assert off_diagonal.abs().max() < limit


def test_every_seed_and_channel_has_a_key_of_its_own_that_fits_into_32_bits():
    seeds = (0, 1, 2, 1000, 2**30, 2**31 - 1)
    keys = [noise_key(seed, channel) for seed, channel in itertools.product(seeds, range(50))]
    assert len(set(keys)) == len(keys)
    assert -(2**31) <= min(keys) <= max(keys) < 2**31


@pytest.mark.parametrize("size", [(1,), (1, 1), (3, 5), (5, 7, 9)])
def test_an_odd_number_of_values_takes_those_of_the_next_even_one(size):
    odd = noise_of((2, 1, *size), [[3], [4]]).flatten(1)
    number = odd.shape[1]
    even = noise_of((2, 1, number + 1), [[3], [4]]).flatten(1)
    assert torch.equal(odd, even[:, :number])
    assert torch.isfinite(odd).all()
    assert (odd != 0).all()


def test_noise_does_not_depend_on_how_many_values_are_made_at_a_time(monkeypatch):
    expected = noise_of((2, 2, 11, 13, 15), [[1, 2], [3, 4]])
    monkeypatch.setattr(noise, "_PAIRS_AT_A_TIME", 100)
    assert torch.equal(noise_of((2, 2, 11, 13, 15), [[1, 2], [3, 4]]), expected)


def test_each_channel_has_its_own_deviation_and_what_was_there_stays():
    views = torch.full((2, 2, 30, 30), 5.0)
    stds = torch.tensor([[0.0, 0.5], [1.0, 2.0]])
    add_noise_(views, torch.zeros(2, 2, dtype=torch.int32), stds)
    unit = noise_of((1, 1, 30, 30), [[0]])[0, 0]
    for view, channel in itertools.product(range(2), range(2)):
        torch.testing.assert_close(views[view, channel], 5 + stds[view, channel] * unit)
    assert torch.equal(views[0, 0], torch.full((30, 30), 5.0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_noise_made_on_the_gpu_equals_that_made_on_the_cpu():
    keys, stds = torch.tensor([[5, -6]], dtype=torch.int32), torch.tensor([[0.1, 2.0]])
    on_cpu, on_gpu = torch.zeros(1, 2, 30, 31, 33), torch.zeros(1, 2, 30, 31, 33).cuda()
    add_noise_(on_cpu, keys, stds)
    add_noise_(on_gpu, keys.cuda(), stds.cuda())
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=1e-5, rtol=1e-5)
