"""Learning rates and what learns."""

import math

import pytest
from planned_networks import planned_network

from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings
from nnunetv2_pcrl.tasks.encoder.network import Classifier
from nnunetv2_pcrl.tasks.encoder.schedule import WarmUpCosine, adamw, take_rates


@pytest.fixture
def network():
    return Classifier(planned_network(), 2, "last", 0.0)


def rates(schedule, epoch) -> list[float]:
    schedule.step(epoch)
    return [group["lr"] for group in schedule.optimizer.param_groups]


def test_rates_rise_evenly_and_fall_along_a_half_cosine_the_linear_layer_ten_times_faster(network):
    settings = ClassificationSettings(initial_lr=1e-4)
    schedule = WarmUpCosine(adamw(network, settings), 10, 0.2)
    expected = [1 / 3, 2 / 3, *(0.5 * (1 + math.cos(math.pi * n / 8)) for n in range(8))]
    for epoch, factor in enumerate(expected):
        assert rates(schedule, epoch) == pytest.approx([1e-3 * factor, 1e-4 * factor])


def test_a_training_of_one_epoch_has_its_rate(network):
    schedule = WarmUpCosine(adamw(network, ClassificationSettings(initial_lr=1e-4)), 1, 0.9)
    assert rates(schedule, 0) == pytest.approx([1e-3, 1e-4])


def test_every_parameter_learns_and_in_a_linear_probe_those_of_the_linear_layer(network):
    def learning(**settings) -> set:
        groups = adamw(network, ClassificationSettings(**settings)).param_groups
        return {id(parameter) for group in groups for parameter in group["params"]}

    assert learning() == {id(parameter) for parameter in network.parameters()}
    linear = {id(parameter) for parameter in network.linear.parameters()}
    assert learning(linear_probe=True) == linear


def test_changed_settings_count_in_an_optimiser_that_was_loaded(network):
    optimizer = adamw(network, ClassificationSettings(initial_lr=1e-4))
    state = optimizer.state_dict()
    changed = ClassificationSettings(initial_lr=1e-5, weight_decay=0.5)
    other = adamw(network, changed)
    other.load_state_dict(state)
    take_rates(other, changed)
    schedule = WarmUpCosine(other, 1, 0.0)
    assert rates(schedule, 0) == pytest.approx([1e-4, 1e-5])
    assert {group["weight_decay"] for group in other.param_groups} == {0.5}
