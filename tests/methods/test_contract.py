"""What every method of the registry keeps: exact steps, all parameters used, files, trainers."""

import copy
import inspect
import itertools
import re

import pytest
import torch
from method_cases import (
    BATCH_SIZE,
    EVERY_METHOD,
    MethodCase,
    case_of,
    facts_of,
    image_of,
    method_on,
    objective_of,
)
from naive_step import assert_equal_gradients, gradients, naive_loss, naive_numbers, own_images
from planned_networks import planned_network, shaken
from ranks import run_on_ranks

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.registry import METHODS
from nnunetv2_pcrl.monitoring.vocabulary import Shown
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.training.gradient_cache import Precision, accumulate_gradients, evaluate
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.micro_batch import MicroBatch
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.seeding import seeded_generator

pytestmark = pytest.mark.usefixtures("one_thread")

every_method = pytest.mark.parametrize("kind", EVERY_METHOD, ids=lambda kind: kind.__name__)
every_geometry = pytest.mark.parametrize("geometry", ["2d", "3d", "anisotropic"])
# Draws of a step differ; a few of them show every part of a loss.
SEEDS = (0, 1, 2)


def naive(case: MethodCase, seed: int) -> tuple[dict[str, float], dict]:
    network = copy.deepcopy(case.network)
    objective = objective_of(MethodCase(case.method, network, case.batch), seed=seed)
    numbers = naive_numbers(network, case.batch, objective)
    naive_loss(numbers, objective).backward()
    return {n: float(v.detach()) for n, v in numbers.items()}, gradients(network)


# The step


@every_method
@pytest.mark.parametrize(
    "geometry", ["2d", *(pytest.param(g, marks=pytest.mark.slow) for g in ("3d", "anisotropic"))]
)
def test_the_step_has_the_gradient_of_everything_in_one_graph(kind, geometry):
    architecture = "ResidualEncoderUNet" if geometry == "3d" else "PlainConvUNet"
    case = case_of(kind, geometry, architecture, num_channels=2 if geometry == "2d" else 1)
    for seed in SEEDS[: 1 if geometry == "3d" else 3]:
        expected, expected_gradients = naive(case, seed)
        for voxels in (1, 2 * case.method.largest_view):
            network = copy.deepcopy(case.network)
            objective = objective_of(MethodCase(case.method, network, case.batch), seed=seed)
            numbers = accumulate_gradients(network, case.batch, objective, MicroBatch(voxels))
            assert {n: float(v) for n, v in numbers.items()} == pytest.approx(expected, abs=1e-9)
            assert_equal_gradients(gradients(network), expected_gradients)


@every_method
def test_every_parameter_gets_gradient_or_is_a_teachers_or_without_effect(kind):
    case = case_of(kind, "2d", "ResidualEncoderUNet")
    # Biases that the next normalisation subtracts again, and what a teacher has.
    without_effect = re.compile(r".*conv\.bias|.*norm\.bias|.*\.bias")
    missing = {
        name
        for name, p in case.network.named_parameters()
        if p.requires_grad and not without_effect.fullmatch(name)
    }
    for seed, progress in itertools.product(range(12), (0.0, 0.3, 0.9)):
        case.network.zero_grad(set_to_none=True)
        generator = torch.Generator().manual_seed(seed)
        objective = case.method.objective(case.network, progress, generator)
        accumulate_gradients(case.network, case.batch, objective, None)
        missing -= {
            name
            for name, p in case.network.named_parameters()
            if p.grad is not None and p.grad.abs().max() > 1e-12
        }
        if not missing:
            break
    assert missing == set()
    trained = {
        id(p) for group in case.method.optimizer(case.network).param_groups for p in group["params"]
    }
    wanted = {id(p) for p in case.network.parameters() if p.requires_grad}
    assert trained == wanted


def step_of_a_rank(kind: type[Method]) -> tuple[dict, dict, dict]:
    joint = JointBatch.of_this_process(BATCH_SIZE)
    case = case_of(kind, "2d")
    batch = own_images(case.batch, joint.own)
    objective = objective_of(case)
    micro_batch = MicroBatch(case.method.largest_view)
    numbers = accumulate_gradients(case.network, batch, objective, micro_batch, joint=joint)
    joint.average_gradients(case.network)
    evaluated = evaluate(case.network, batch, objective_of(case, None), micro_batch, joint=joint)
    means = [
        {name: float(joint.mean(value)) for name, value in found.items()}
        for found in (numbers, evaluated)
    ]
    return gradients(case.network), *means


@pytest.mark.slow
@every_method
def test_two_processes_compute_the_step_of_one(kind):
    ranks = run_on_ranks(step_of_a_rank, 2, kind)
    case = case_of(kind, "2d")
    expected, expected_gradients = naive(case, 0)
    evaluated = evaluate(case.network, case.batch, objective_of(case, None), None)
    for ours, numbers, found in ranks:
        assert_equal_gradients(ours, expected_gradients)
        assert numbers == pytest.approx(expected, abs=1e-9)
        assert found == pytest.approx({n: float(v) for n, v in evaluated.items()}, abs=1e-6)


@pytest.mark.slow
@every_method
def test_mixed_precision_is_finite_near_single_precision_and_a_scaler_recovers(kind):
    case = case_of(kind, "2d")
    network = case.network.float()
    batch = {n: v.float() if v.is_floating_point() else v for n, v in case.batch.items()}
    micro_batch = MicroBatch(case.method.largest_view)
    single = MethodCase(case.method, network, batch)
    expected = accumulate_gradients(
        copy.deepcopy(network), batch, objective_of(single), micro_batch
    )
    optimizer = case.method.optimizer(network)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(3):
        optimizer.zero_grad(set_to_none=True)
        precision = Precision(
            lambda: torch.autocast("cpu", torch.bfloat16), scaler.scale(torch.ones(()))
        )
        numbers = accumulate_gradients(network, batch, objective_of(single), micro_batch, precision)
        if step == 0:
            for name, value in expected.items():
                assert float(numbers[name]) == pytest.approx(float(value), abs=0.1, rel=0.1), name
            # As where half precision overflows.
            next(p.grad for p in network.parameters() if p.grad is not None).fill_(torch.inf)
        before = copy.deepcopy(network.state_dict())
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        scaler.step(optimizer)
        scaler.update()
        is_same = all(torch.equal(v, before[n]) for n, v in network.state_dict().items())
        assert is_same == (step == 0)
    assert scaler.get_scale() == 2.0**9
    assert all(torch.isfinite(p).all() for p in network.parameters())


# Views


@every_method
@every_geometry
def test_views_are_drawn_alike_by_equal_generators_and_leave_the_image_as_it_is(kind, geometry):
    facts = facts_of(geometry, 2)
    recipe, image = method_on(kind, facts).recipe(), image_of(facts)
    before = image.clone()
    assert recipe.num_axes == facts.num_axes
    made = []
    for seed in (1, 1, 2):
        drawn = recipe.draw(image.shape[1:], Channels.unmeasured(2), seeded_generator(seed))
        assert Box((0,) * facts.num_axes, tuple(image.shape[1:])).contains(drawn.region)
        made.append(drawn.prepared().make(image[(slice(None), *drawn.region.slices)]))
    assert torch.equal(image, before)
    first, again, other = made
    assert all(torch.equal(values, again[name]) for name, values in first.items())
    assert not all(torch.equal(values, other[name]) for name, values in first.items())
    floats = [v for v in first.values() if v.is_floating_point()]
    assert all(torch.isfinite(v).all() for v in floats)
    storages = [v.untyped_storage().data_ptr() for v in (image, *first.values())]
    assert len(set(storages)) == len(storages)


@every_method
@every_geometry
def test_images_smaller_than_the_patch_give_views_too(kind, geometry):
    facts = facts_of(geometry)
    size = [max(2, s // 2 + 1) for s in facts.patch_size]
    image = torch.randn(1, *size, generator=seeded_generator(1))
    drawn = method_on(kind, facts).recipe().draw(size, Channels.unmeasured(1), seeded_generator(2))
    views = drawn.prepared().make(image[(slice(None), *drawn.region.slices)])
    assert all(torch.isfinite(v).all() for v in views.values() if v.is_floating_point())


# What is shown


@every_method
def test_all_numbers_of_a_step_are_logged_and_every_chart_shows_logged_ones(kind):
    case = case_of(kind, "2d")
    levels = case.method.num_levels
    assert len(case.network.backbone.level_channels) == levels
    shown = case.method.shown(levels)
    assert Shown.from_plain(shown.as_plain()) == shown
    names = set(shown.log_names)
    trained = accumulate_gradients(case.network, case.batch, objective_of(case), None)
    evaluated = evaluate(case.network, case.batch, objective_of(case, None), None)
    means = case.method.summarised({name: float(value) for name, value in evaluated.items()})
    assert {f"train_{name}" for name in trained} | {f"val_{name}" for name in means} <= names
    assert set(case.method.schedules(0.5)) <= names
    drawn = {line.name for chart in shown.charts for line in chart.lines if line.name}
    known = {name for card in shown.cards for name in card.names} | drawn
    assert known <= names | {"train_losses", "val_losses", "lrs"}
    assert all(chart.text and chart.axis for chart in shown.charts)


@every_method
@every_geometry
def test_pictures_have_the_size_of_the_view_and_all_channels(kind, geometry):
    case = case_of(kind, geometry, num_channels=2)
    image = image_of(case.method.facts)
    drawn = case.method.recipe().draw(image.shape[1:], Channels.unmeasured(2), seeded_generator(1))
    views = drawn.prepared().make(image[(slice(None), *drawn.region.slices)])
    batch = {
        n: v[:, None].double() if v.is_floating_point() else v[:, None] for n, v in views.items()
    }
    with torch.no_grad():
        pictures = case.method.pictures(case.network.eval(), drawn, batch)
    assert pictures.columns
    shapes = {tuple(column.image.shape) for column in pictures.columns}
    assert len(shapes) == 1 and len(next(iter(shapes))) == case.method.facts.num_axes + 1


# Files and names


@every_method
@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet"])
def test_the_backbone_is_written_back_into_the_planned_network(kind, architecture):
    method = method_on(kind, facts_of("2d"))
    network = shaken(method.build(planned_network(architecture, "2d")))
    target = planned_network(architecture, "2d", seed=5)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    network.backbone.write_into(target)
    written = target.state_dict()
    for name, value in network.backbone.encoder.state_dict().items():
        assert torch.equal(written[f"encoder.{name}"], value)
    is_kept = all(
        torch.equal(written[name], before[name])
        for name in before
        if name.startswith(("decoder.stages", "decoder.transpconvs"))
    )
    assert is_kept == (network.backbone.decoder == "none")
    with pytest.raises(ValueError, match="not planned like"):
        network.backbone.write_into(planned_network(architecture, "3d"))


@every_method
def test_trainers_of_the_method_are_found_by_name_with_its_variants(kind):
    name = kind.about.name
    for role in ("Pretrain", "Finetune"):
        assert trainer_named(f"{name}{role}Trainer") is trainer_named(f"{name}{role}Trainer")
        for word in kind.variants:
            assert trainer_named(f"{name}{role}Trainer_{word}_5epochs") is not None
        assert trainer_named(f"{name}{role}Trainer_nonsense") is None
    assert trainer_named(f"{name}PretrainTrainer_seed3_lr1en3").words == ("seed3", "lr1en3")


@every_method
def test_settings_and_citations_are_documented(kind):
    assert all(field.description for field in kind.Settings.model_fields.values())
    assert kind.about.citations and all(c["apa_citations"] for c in kind.about.citations)
    assert all(variant.text for variant in kind.variants.values())
    assert not inspect.isabstract(kind)


def test_names_and_sections_are_one_each():
    assert len({kind.about.name for kind in METHODS}) == len(METHODS)
    assert len({kind.about.section for kind in METHODS}) == len(METHODS)
