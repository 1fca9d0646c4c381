"""Learning rates of fine-tuning, epoch by epoch and part by part."""

import pytest
import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from planned_networks import planned_network, random_images

from nnunetv2_pcrl.tasks.segmentation.finetune_schedule import (
    PARTS,
    FinetuneLRScheduler,
    FinetuneSchedule,
    parameter_groups,
)
from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings


def rates(part: str, num_epochs: int = 10, initial_lr: float = 1.0, **settings) -> list[float]:
    schedule = FinetuneSchedule(FinetuneSettings(**settings), initial_lr, num_epochs)
    return [schedule.rate(part, epoch) for epoch in range(num_epochs)]


@pytest.mark.parametrize("part", PARTS)
def test_without_settings_the_rates_are_nnu_nets(part):
    optimizer = torch.optim.SGD([torch.ones(1)], 0.01)
    scheduler = PolyLRScheduler(optimizer, 0.01, 10)
    expected = []
    for epoch in range(10):
        scheduler.step(epoch)
        expected.append(optimizer.param_groups[0]["lr"])
    assert rates(part, initial_lr=0.01) == pytest.approx(expected)


def test_new_layers_warm_up_first_then_the_whole_network_then_the_plan():
    settings = {"warmup_new_epochs": 2, "warmup_epochs": 4}
    plan = [1, 0.75**0.9, 0.5**0.9, 0.25**0.9]
    whole = [0.25, 0.5, 0.75, 1]
    assert rates("heads", **settings) == pytest.approx([0.5, 1, *whole, *plan])
    assert rates("encoder", **settings) == pytest.approx([0, 0, *whole, *plan])
    assert rates("decoder", **settings) == rates("heads", **settings)


def test_a_decoder_that_was_loaded_is_not_new():
    settings = {"warmup_new_epochs": 2, "transfer": "encoder_decoder"}
    assert rates("decoder", **settings)[:2] == [0, 0]
    assert rates("heads", **settings)[:2] == [0.5, 1]


def test_a_frozen_encoder_joins_the_plan_later():
    frozen = rates("encoder", freeze_encoder_epochs=3)
    assert frozen[:3] == [0, 0, 0]
    assert frozen[3:] == rates("encoder")[3:]
    assert rates("decoder", freeze_encoder_epochs=3) == rates("decoder")


# Lengths of the published trainers: the decoder's warm-up and decay, then the whole network's.
@pytest.mark.parametrize(
    ("num_epochs", "phases"),
    [(1000, (25, 25, 50)), (150, (7, 8, 15)), (100, (5, 5, 10)), (10, (1, 1, 2)), (5, (1, 1, 2))],
)
def test_sawtooth_takes_a_tenth_of_the_training_at_most_fifty_epochs(num_epochs, phases):
    settings = FinetuneSettings(sawtooth=True)
    assert FinetuneSchedule(settings, 1e-3, num_epochs).phases == phases


@pytest.mark.parametrize("transfer", ["encoder", "encoder_decoder"])
def test_sawtooth_trains_the_decoder_first_and_then_the_whole_network(transfer):
    settings = {"sawtooth": True, "transfer": transfer}
    first = [0.5, 1, 1, 0.5**0.9]
    whole = [0.25, 0.5, 0.75, 1]
    plan = [(1 - k / 32) ** 0.9 for k in range(32)]
    for part in ("heads", "decoder"):
        assert rates(part, 40, **settings) == pytest.approx([*first, *whole, *plan])
    assert rates("encoder", 40, **settings) == pytest.approx([0, 0, 0, 0, *whole, *plan])


@pytest.mark.parametrize(
    ("settings", "num_epochs", "warned"),
    [
        ({"sawtooth": True}, 149, True),
        ({"sawtooth": True}, 150, False),
        ({"sawtooth": True, "finetune_lr": 1e-2}, 149, False),
        ({"warmup_epochs": 2}, 149, False),
    ],
)
def test_the_rate_of_sawtooth_in_a_short_training_is_warned_of(settings, num_epochs, warned):
    schedule = FinetuneSchedule(FinetuneSettings(**settings), 1e-3, num_epochs)
    assert bool(schedule.caution) == warned
    assert not warned or "149" in schedule.caution


def test_a_training_too_short_for_sawtooth_is_refused_with_the_length_that_it_needs():
    with pytest.raises(ValueError, match="4 epochs has no room for sawtooth.*for 5 or more"):
        FinetuneSchedule(FinetuneSettings(sawtooth=True), 1e-3, 4)


@pytest.mark.parametrize(
    "settings",
    [{"warmup_new_epochs": 5, "warmup_epochs": 5}, {"freeze_encoder_epochs": 10}],
    ids=lambda settings: "-".join(settings),
)
def test_phases_longer_than_the_training_are_refused(settings):
    with pytest.raises(ValueError, match="a training of 10 epochs has no room for .*_epochs="):
        FinetuneSchedule(FinetuneSettings(**settings), 0.01, 10)


def test_a_part_without_a_rate_stays_exactly_as_it_is():
    network = planned_network()
    settings = FinetuneSettings(freeze_encoder_epochs=1)
    optimizer = torch.optim.SGD(
        parameter_groups(network), 0.01, momentum=0.99, nesterov=True, weight_decay=0.1
    )
    scheduler = FinetuneLRScheduler(optimizer, FinetuneSchedule(settings, 0.01, 2))
    before = {name: value.detach().clone() for name, value in network.named_parameters()}

    def changed(epoch):
        scheduler.step(epoch)
        outputs = network(random_images(2, 1, 16, 24))
        sum(output.square().mean() for output in outputs).backward()
        optimizer.step()
        # A bias before instance normalisation has no influence, so weights only.
        names = [name for name in before if name.endswith("conv.weight")]
        now = dict(network.named_parameters())
        return {name.split(".")[0] for name in names if not torch.equal(now[name], before[name])}

    assert changed(0) == {"decoder"}
    assert changed(1) == {"encoder", "decoder"}


def test_every_parameter_is_in_one_group():
    network = planned_network("ResidualEncoderUNet")
    groups = parameter_groups(network)
    assert [group["part"] for group in groups] == list(PARTS)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in network.parameters())
