"""The learning rate schedule, stepped as nnU-Net steps it: by epoch."""

import math
import warnings

import pytest
import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

from nnunetv2_pcrl.training.schedule import EpochSchedule, rate_factor


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


def test_the_rate_rises_over_the_warm_up_and_then_falls_along_the_schedule():
    factors = [rate_factor(epoch, 10, "cosine", 3) for epoch in range(11)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[3:] == [rate_factor(epoch, 7, "cosine", 0) for epoch in range(8)]
    assert factors[10] == pytest.approx(0)


def test_poly_is_that_of_nnunet_and_constant_stays():
    expected = []
    optimizer = make_optimizer()
    theirs = PolyLRScheduler(optimizer, 0.02, 10)
    for epoch in range(10):
        theirs.step(epoch)
        expected.append(optimizer.param_groups[0]["lr"])
    ours = [0.02 * rate_factor(epoch, 10, "poly", 0) for epoch in range(10)]
    assert ours == pytest.approx(expected)
    assert {rate_factor(epoch, 10, "constant", 0) for epoch in range(10)} == {1.0}


def test_a_training_shorter_than_its_warm_up_reaches_the_highest_rate_in_its_last_epoch():
    optimizer = make_optimizer()
    schedule = EpochSchedule(optimizer, 0.02, 3, "cosine", warmup_epochs=20)
    schedule.step(2)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02)
