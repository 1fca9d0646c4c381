"""The learning rate schedule, stepped as nnU-Net steps it: by epoch."""

import math
import warnings

import pytest
import torch

from nnunetv2_pcrl.training.schedule import EpochSchedule


def make_optimizer(num_groups: int = 1) -> torch.optim.SGD:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(num_groups)]
    return torch.optim.SGD(groups, lr=123.0)


@pytest.mark.parametrize("num_epochs", [4, 240])
def test_the_rate_falls_from_the_initial_one_to_zero_along_a_half_cosine(num_epochs):
    optimizer = make_optimizer()
    scheduler = EpochSchedule(optimizer, 0.02, num_epochs)
    rates = []
    for epoch in range(num_epochs + 1):
        scheduler.step(epoch)
        rates.append(optimizer.param_groups[0]["lr"])
        assert rates[-1] == pytest.approx(0.01 * (1 + math.cos(math.pi * epoch / num_epochs)))
    assert rates[0] == 0.02
    assert rates[num_epochs // 2] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0)
    assert rates == sorted(rates, reverse=True)


def test_it_starts_with_the_rate_of_epoch_zero():
    optimizer = make_optimizer()
    scheduler = EpochSchedule(optimizer, 0.02, 10)
    assert optimizer.param_groups[0]["lr"] == 0.02
    assert scheduler.get_last_lr() == [0.02]


def test_every_parameter_group_gets_the_rate():
    optimizer = make_optimizer(num_groups=3)
    scheduler = EpochSchedule(optimizer, 0.02, 10)
    scheduler.step(5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01] * 3)
    assert scheduler.get_last_lr() == pytest.approx([0.01] * 3)


def test_a_resumed_training_goes_on_with_the_rate_of_its_epoch():
    straight = make_optimizer()
    scheduler = EpochSchedule(straight, 0.02, 10)
    for epoch in range(8):
        scheduler.step(epoch)
    resumed = make_optimizer()
    EpochSchedule(resumed, 0.02, 10).step(7)
    assert resumed.param_groups[0]["lr"] == straight.param_groups[0]["lr"]


def test_stepping_before_the_optimiser_as_nnu_net_does_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = make_optimizer()
        scheduler = EpochSchedule(optimizer, 0.02, 10)
        for epoch in range(3):
            scheduler.step(epoch)
            optimizer.step()
