"""How long a default pretraining is, and which optimiser it takes."""

from dataclasses import replace

import pytest
import torch
from flops import Flops
from method_cases import EVERY_METHOD, MethodCase, batch_of, facts_of, method_on, objective_of
from planned_networks import planned_network

from nnunetv2_pcrl.methods.mae.method import MAE
from nnunetv2_pcrl.methods.pcrlv2.method import PCRLv2
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.registry import METHODS
from nnunetv2_pcrl.methods.simclr import SimCLR
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.methods.voco.method import VoCo
from nnunetv2_pcrl.networks.arithmetic import Parts, parts_of
from nnunetv2_pcrl.training.gradient_cache import accumulate_gradients
from nnunetv2_pcrl.training.micro_batch import MicroBatch

every_method = pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.about.name)


def plan(patch: int, stages: int, axes: int = 3) -> PlanFacts:
    strides = ((1,) * axes, *((2,) * axes,) * (stages - 1))
    return PlanFacts((patch,) * axes, 2, (1.0,) * axes, strides, 1, ("ZScoreNormalization",))


@every_method
@pytest.mark.parametrize(("patch", "stages"), [(128, 6), (48, 5), (96, 5)])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_default_pretraining_costs_one_training_of_nnunet_whatever_the_patch(
    kind, patch, stages, axes
):
    facts = plan(patch, stages, axes)
    settings = settings_for(kind, facts, {})
    cost = kind(settings, facts).step_cost
    steps = settings.num_epochs * settings.num_iterations_per_epoch
    # An epoch more or less.
    assert abs(steps * cost - 250_000) <= settings.num_iterations_per_epoch * cost / 2 + 1e-6


def test_the_cost_of_a_step_has_hand_computed_values():
    facts = replace(plan(128, 6), parts=Parts(encoder=0.25, non_skip=0.75))
    # 4 patches in a step, of which a segmentation has 2.
    assert MAE(settings_for(MAE, facts, {}), facts).step_cost == 2
    # 16 images, two views of 96 and six of 64, passed with gradient, and without it (a third),
    # by a network of three quarters of the planned one.
    voxels = 16 * (2 * 96**3 + 6 * 64**3) * 4 / 3 * 0.75
    pcrlv2 = PCRLv2(settings_for(PCRLv2, facts, {}), facts)
    assert pcrlv2.step_cost == pytest.approx(voxels / (2 * 128**3))
    # 32 images, two views of 96, the encoder alone.
    simclr = SimCLR(settings_for(SimCLR, facts, {}), facts)
    assert simclr.step_cost == pytest.approx(64 * 96**3 * 4 / 3 * 0.25 / (2 * 128**3))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [*((kind, {}) for kind in EVERY_METHOD), (VoCo, {"form": "cvpr", "inter_weight": 0.0})],
    ids=lambda value: value.__name__ if isinstance(value, type) else value.get("form", ""),
)
@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet"])
def test_the_cost_of_a_step_is_what_torch_counts(kind, settings, architecture):
    planned = planned_network(architecture, "3d")
    facts = replace(facts_of("3d"), parts=parts_of(planned))
    with Flops() as segmentation:
        output = planned(torch.zeros(facts.batch_size, 1, *facts.patch_size))
        output[0].sum().backward()
    method = method_on(kind, facts, **settings)
    network = method.build(planned_network(architecture, "3d")).double()
    case = MethodCase(method, network, batch_of(method))
    micro_batch = MicroBatch(2 * method.largest_view)
    # Of a training in two parts both count, by how long they are.
    part = getattr(method.settings, "contrastive_part", 1.0)
    total = 0.0
    for progress, share in ((0.0, part), (0.99, 1 - part)):
        if share:
            with Flops() as pretraining:
                objective = objective_of(case, progress)
                accumulate_gradients(network, case.batch, objective, micro_batch)
            total += share * pretraining.total
    assert total / segmentation.total == pytest.approx(method.step_cost, rel=0.07)


def test_a_given_length_is_taken_as_it_is():
    facts = plan(128, 6)
    assert settings_for(PCRLv2, facts, {"num_epochs": 7}).num_epochs == 7
    assert settings_for(PCRLv2, facts, {}, ["3epochs"]).num_epochs == 3


@every_method
def test_every_method_takes_every_optimiser_with_its_usual_numbers(kind):
    facts = facts_of("2d")
    for name, optimizer, rate in (
        ("sgd", torch.optim.SGD, 1e-2),
        ("nesterov", torch.optim.SGD, 1e-2),
        ("adamw", torch.optim.AdamW, 1e-3),
    ):
        method = method_on(kind, facts, optimizer=name)
        network = torch.nn.Linear(2, 2)
        network.bias.requires_grad_(False)
        made = method.optimizer(network)
        assert isinstance(made, optimizer)
        group = made.param_groups[0]
        assert (group["lr"], len(group["params"])) == (rate, 1)
        assert group.get("nesterov", False) == (name == "nesterov")
    assert method_on(kind, facts, optimizer="adamw", initial_lr=0.5).settings.initial_lr == 0.5


def test_an_unknown_optimiser_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match='"optimizer" must be .*sgd.*adamw'):
        method_on(PCRLv2, facts_of("2d"), optimizer="lars")
