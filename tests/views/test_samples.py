"""Which case a sample is of: by number, by permutations, and drawn once per batch."""

from collections import Counter

import pytest
import torch
from recipes import recipe

from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.samples import (
    MAX_CASES_PER_SAMPLE,
    TRAINING_STREAM,
    StreamPosition,
    ViewSamples,
)
from nnunetv2_pcrl.views.seeding import integer, seeded_generator

RECIPE = recipe((8, 8), (4, 4), (1.0, 1.0))
SEED = 3


def samples_of(num_cases: int, batch_size: int) -> ViewSamples:
    names = [f"case_{number:02}" for number in range(num_cases)]
    position = StreamPosition(SEED, TRAINING_STREAM)
    return ViewSamples("", names, batch_size, RECIPE, Channels.unmeasured(1), position)


def candidates(samples: ViewSamples, number: int) -> list[str]:
    return list(samples._candidates(number, seeded_generator(9, number)))


def as_drawn_one_by_one(samples: ViewSamples, number: int) -> list[str]:
    """All permutations of a batch for one sample, and the others without what was tried."""
    names, generator = samples.identifiers, seeded_generator(9, number)
    batch, place = divmod(number, samples.batch_size)
    order = seeded_generator(SEED, TRAINING_STREAM, 0, batch)
    permutations = -(-samples.batch_size // len(names))
    picks = torch.cat([torch.randperm(len(names), generator=order) for _ in range(permutations)])
    left, found = list(range(len(names))), [int(picks[place])]
    left.remove(found[0])
    while len(found) < min(len(names), MAX_CASES_PER_SAMPLE):
        found.append(left[integer(0, len(left) - 1, generator)])
        left.remove(found[-1])
    return [names[case] for case in found]


@pytest.mark.parametrize(("num_cases", "batch_size"), [(1, 3), (3, 8), (5, 4), (14, 14), (14, 3)])
def test_the_cases_of_a_sample_are_those_drawn_for_it_alone_in_any_order(num_cases, batch_size):
    samples = samples_of(num_cases, batch_size)
    for number in (0, 1, batch_size, 2 * batch_size + 1, 2, 0):
        assert candidates(samples, number) == as_drawn_one_by_one(samples, number)


def test_the_permutations_of_a_batch_are_drawn_once_and_not_for_each_of_its_samples(monkeypatch):
    drawn, randperm = Counter(), torch.randperm

    def counted(*args, **kwargs):
        drawn["permutations"] += 1
        return randperm(*args, **kwargs)

    samples = samples_of(num_cases=2, batch_size=64)
    monkeypatch.setattr(torch, "randperm", counted)
    for number in range(3 * 64):
        next(samples._candidates(number, seeded_generator(9, number)))
    assert drawn["permutations"] == 3 * 32
