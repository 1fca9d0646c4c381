"""PCRLv1: transforms and codes, mixed features, the queue and the teacher."""

import math
from pathlib import Path

import pytest
import torch
from method_cases import (
    BATCH_SIZE,
    MethodCase,
    case_of,
    facts_of,
    image_of,
    method_on,
    objective_of,
)
from method_runs import assert_equal_states, resumed, small_dataset, trained
from method_training import numbers_of_training
from naive_step import own_images
from planned_networks import planned_network
from ranks import run_on_ranks

from nnunetv2_pcrl.methods.pcrlv1.method import PCRLv1
from nnunetv2_pcrl.methods.pcrlv1.network import KeyQueue, blended
from nnunetv2_pcrl.methods.pcrlv1.views import DrawnViews, Transform, draw_transform
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.training.gradient_cache import accumulate_gradients, evaluate
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.micro_batch import MicroBatch
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.resample import resample
from nnunetv2_pcrl.views.seeding import seeded_generator
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

GEOMETRIES = ("2d", "3d", "anisotropic")
SMALL = {"queue_size": 15, "embedding_size": 8}
CLEAN = {
    "p_shuffling": 0.0,
    "p_painting": 0.0,
    "num_cut_outs": 0,
    "blur_sigma": 0.0,
    "log_gamma": 0.0,
    "contrast": 0.0,
}


def region_of(image: torch.Tensor, drawn: DrawnViews) -> torch.Tensor:
    return image[(slice(None), *drawn.region.slices)]


def small_case(geometry: str = "2d", **settings) -> MethodCase:
    return case_of(PCRLv1, geometry, **{**SMALL, **settings})


# Transforms and codes


def test_the_code_has_a_bit_per_axis_and_one_of_four_for_the_turns():
    assert Transform((True, False, True), 2).code == (1, 0, 1, 0, 0, 1, 0)
    assert Transform((False, True), 0).code == (0, 1, 1, 0, 0, 0)
    assert Transform((False, True), None).code == (0, 1)


@pytest.mark.parametrize("size", [(4, 4), (3, 5, 5), (2, 4, 6)])
def test_a_transform_can_be_undone_and_that_of_no_flip_and_no_turn_changes_nothing(size):
    image = torch.randn(2, *size, generator=seeded_generator(0))
    is_square = size[-1] == size[-2]
    nothing = Transform((False,) * len(size), 0 if is_square else None)
    assert torch.equal(nothing.applied(image), image)
    seen = set()
    for seed in range(40):
        transform = draw_transform(len(size), is_square, 1.0, seeded_generator(seed))
        seen.add(transform.code)
        made = transform.applied(image)
        back = torch.rot90(made, -(transform.turns or 0), (-2, -1))
        back = back.flip([1 + a for a, flip in enumerate(transform.flips) if flip])
        assert torch.equal(back, image)
    assert len(seen) > (8 if is_square else 6)


def test_a_chance_decides_whether_a_view_is_restored_as_it_lies():
    def is_drawn(chance: float, seed: int) -> bool:
        transform = draw_transform(3, True, chance, seeded_generator(seed))
        return any(transform.flips) or transform.turns != 0

    assert not any(is_drawn(0.0, seed) for seed in range(50))
    # Of 32 draws one is no change.
    assert 0.9 < sum(is_drawn(1.0, seed) for seed in range(300)) / 300 < 1
    assert 0.4 < sum(is_drawn(0.5, seed) for seed in range(300)) / 300 < 0.57


def test_planes_are_turned_only_where_size_and_spacing_are_equal():
    def bits(patch: tuple[int, ...], spacing: tuple[float, ...]) -> int:
        strides = ((1,) * len(patch), (2,) * len(patch), (2,) * len(patch))
        facts = PlanFacts(patch, 2, spacing, strides, 1, ("ZScoreNormalization",))
        method = PCRLv1(settings_for(PCRLv1, facts, {"view_size": list(patch)}), facts)
        drawn = method.recipe().draw(patch, Channels.unmeasured(1), seeded_generator(0))
        return len(drawn.transforms[0].code)

    assert bits((32, 32), (0.8, 0.8)) == 6
    assert bits((32, 24), (0.8, 0.8)) == 2
    assert bits((32, 32), (0.8, 0.9)) == 2
    assert bits((8, 32, 32), (5.0, 0.8, 0.8)) == 7
    assert bits((8, 32, 16), (5.0, 0.8, 0.8)) == 3


# Views


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_targets_are_clean_and_transformed_while_inputs_are_distorted(geometry):
    facts = facts_of(geometry, 2)
    method = method_on(PCRLv1, facts, p_shuffling=1.0, p_painting=1.0)
    image = image_of(facts)
    drawn = method.recipe().draw(image.shape[1:], Channels.unmeasured(2), seeded_generator(2))
    region = region_of(image, drawn)
    prepared = drawn.prepared()
    views = prepared.make(region)
    clean = resample(region, prepared.group.lines)
    for number in range(2):
        expected = drawn.transforms[number].applied(clean[number])
        assert torch.equal(views["targets"][number], expected)
        assert views["codes"][number].tolist() == list(drawn.transforms[number].code)
        assert not torch.equal(views["views"][number], clean[number])
    assert 0.5 <= float(views["mix"]) <= 1


def test_without_distortion_and_transform_the_target_is_the_input_bit_for_bit():
    method = method_on(PCRLv1, facts_of("2d"), **CLEAN)
    image = image_of(method.facts)
    equal = 0
    for seed in range(30):
        drawn = method.recipe().draw(
            image.shape[1:], Channels.unmeasured(1), seeded_generator(seed)
        )
        views = drawn.prepared().make(region_of(image, drawn))
        for number, transform in enumerate(drawn.transforms):
            same = torch.equal(views["targets"][number], views["views"][number])
            is_nothing = not any(transform.flips) and transform.turns == 0
            is_half_turn = all(transform.flips) and transform.turns == 2
            assert same == (is_nothing or is_half_turn)
            equal += same
    assert equal > 0


# Restoration


def test_with_all_of_the_first_view_the_mixture_is_that_view():
    case = small_case()
    network, batch = case.network, {**case.batch, "mix": torch.ones_like(case.batch["mix"])}
    pyramid = network.backbone(batch["views"][0])
    other = network.teacher(batch["views"][1])
    mixed = network.mixed(pyramid, other, batch["codes"], batch["mix"][0])
    plain = network.restored(pyramid, network.gate(pyramid[0], batch["codes"][0]))
    torch.testing.assert_close(network.restored(mixed, mixed[0]), plain)
    numbers = objective_of(case).of_views(network, "student", pyramid, batch)
    torch.testing.assert_close(numbers["mixed_restoration"], numbers["restoration"])


def test_every_image_is_mixed_by_its_own_part():
    first, second = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    both = blended(first, second, torch.tensor([[0.5], [0.9]]))
    assert both[0].unique().tolist() == [0.5]
    assert both[1].unique().tolist() == pytest.approx([0.9])


def test_the_code_decides_what_is_restored():
    case = small_case()
    pyramid = case.network.backbone(case.batch["views"][0])
    codes = torch.eye(6, dtype=torch.float64)[:BATCH_SIZE]
    gated = case.network.gate(pyramid[0], codes)
    factors = gated / pyramid[0]
    assert ((factors > 0) & (factors < 1)).all()
    one, other = (case.network.gate(pyramid[0], c) for c in (codes, codes.flip(0)))
    restored = [case.network.restored(pyramid, each) for each in (one, other)]
    assert not torch.allclose(*restored)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_encoder_and_decoder_learn_and_nothing_is_registered_twice(geometry):
    case = small_case(geometry)
    accumulate_gradients(case.network, case.batch, objective_of(case), MicroBatch(1))
    for part in ("backbone.encoder", "backbone.stages", "backbone.transpconvs", "projection"):
        found = [
            parameter.grad
            for name, parameter in case.network.named_parameters()
            if name.startswith(f"{part}.") and name.endswith("weight")
        ]
        assert found and all(g is not None and g.any() for g in found), part
    for teacher in (case.network.teacher, case.network.teacher_projection):
        assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    owners: dict[int, str] = {}
    for name, value in case.network.state_dict().items():
        owner = name.split(".")[0]
        assert owners.setdefault(value.data_ptr(), owner) == owner


# The queue and the teacher


def test_a_queue_wraps_and_forgets_the_oldest_keys():
    queue = KeyQueue(5, 2)
    assert len(queue.known) == 0
    for step in range(3):
        queue.remember(torch.full((3, 2), float(step + 1)))
        queue.advance()
        assert len(queue.known) == min(5, 3 * (step + 1)) and queue.known.all()
    # 3 + 3 + 3 keys on 5 places.
    assert queue.keys[:, 0].tolist() == [2.0, 3.0, 3.0, 3.0, 2.0]
    assert int(queue.position) == 4
    queue.advance()
    assert int(queue.position) == 4


def test_keys_of_a_step_are_no_negatives_of_their_own_step():
    case = small_case()
    before = case.network.queue.keys.clone()
    accumulate_gradients(case.network, case.batch, objective_of(case), MicroBatch(1))
    assert torch.equal(case.network.queue.keys, before)
    case.method.after_update(case.network, 0.25)
    assert int(case.network.queue.position) == BATCH_SIZE
    assert torch.equal(case.network.queue.keys[BATCH_SIZE:], before[BATCH_SIZE:])
    assert not torch.equal(case.network.queue.keys[:BATCH_SIZE], before[:BATCH_SIZE])
    known = case.network.queue.known
    torch.testing.assert_close(known.norm(dim=1), torch.ones(BATCH_SIZE, dtype=torch.float64))


def test_places_that_no_key_has_come_to_are_no_negatives():
    case = small_case()
    first = accumulate_gradients(case.network, case.batch, objective_of(case), None)
    case.network.queue.keys.normal_()
    again = accumulate_gradients(case.network, case.batch, objective_of(case), None)
    assert float(again["contrast"]) == float(first["contrast"])
    # Nothing but the batch is there: four keys that look alike would cost ln 4.
    watched = evaluate(case.network, case.batch, objective_of(case, None), None)
    assert float(watched["contrast_of_alike"]) == pytest.approx(math.log(BATCH_SIZE))
    case.method.after_update(case.network, 0.25)
    watched = evaluate(case.network, case.batch, objective_of(case, None), None)
    assert float(watched["contrast_of_alike"]) == pytest.approx(math.log(2 * BATCH_SIZE))


def test_the_teacher_moves_after_the_update_and_neither_it_nor_the_queue_in_a_validation():
    case = small_case(teacher_momentum=0.9)
    network = case.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, case.batch, objective_of(case, None), MicroBatch(1))
    network.queue.advance()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    case.method.after_update(network, 0.5)
    part = 0.95
    assert case.method.schedules(0.5) == {"teacher_momentum": pytest.approx(part)}
    for name, value in network.teacher.state_dict().items():
        student = before[f"backbone.{name}"]
        torch.testing.assert_close(value, part * before[f"teacher.{name}"] + (1 - part) * student)
    for name, value in network.teacher_projection.state_dict().items():
        student = before[f"projection.{name}"]
        own = part * before[f"teacher_projection.{name}"] + (1 - part) * student
        torch.testing.assert_close(value, own)


def queue_of_a_rank() -> torch.Tensor:
    case = small_case()
    joint = JointBatch.of_this_process(BATCH_SIZE)
    own = own_images(case.batch, joint.own)
    accumulate_gradients(case.network, own, objective_of(case), MicroBatch(1), joint=joint)
    case.method.after_update(case.network, 0.25)
    return case.network.queue.keys


def test_every_process_has_the_keys_of_all_of_them_in_the_order_of_one():
    first, second = run_on_ranks(queue_of_a_rank, 2)
    torch.testing.assert_close(first, queue_of_a_rank())
    torch.testing.assert_close(second, first)


def test_a_teacher_begins_as_its_student():
    method = method_on(PCRLv1, facts_of("2d"), **SMALL)
    network = method.build(planned_network("ResidualEncoderUNet", "2d"))
    x = torch.randn(2, 1, 16, 16)
    for own, other in zip(network.backbone(x), network.teacher(x), strict=True):
        assert torch.equal(own, other)


# Learning


def other_batch(method: PCRLv1) -> dict[str, torch.Tensor]:
    """Views of other images than those of `batch_of`."""
    made: dict[str, list[torch.Tensor]] = {}
    for number in range(BATCH_SIZE, 2 * BATCH_SIZE):
        image = image_of(method.facts, number)
        drawn = method.recipe().draw(
            image.shape[1:], Channels.unmeasured(len(image)), seeded_generator(3, number)
        )
        for name, values in drawn.prepared().make(region_of(image, drawn)).items():
            made.setdefault(name, []).append(values)
    return {name: torch.stack(values, dim=1).double() for name, values in made.items()}


@pytest.mark.slow
def test_it_learns_to_tell_images_from_those_of_the_step_before():
    views = {**CLEAN, "min_iou": 0.8, "view_scale": (1.0, 1.0), "embedding_size": 32}
    case = small_case(**views, initial_lr=0.03, teacher_momentum=0.9, queue_size=4)
    # In turn, so that the queue holds no key of an image of the step.
    halves = [case.batch, other_batch(case.method)]
    optimizer = case.method.optimizer(case.network)
    contrasts = []
    for step in range(60):
        optimizer.zero_grad(set_to_none=True)
        numbers = accumulate_gradients(
            case.network, halves[step % 2], objective_of(case), MicroBatch(10**6)
        )
        torch.nn.utils.clip_grad_norm_(case.network.parameters(), 12)
        optimizer.step()
        case.method.after_update(case.network, 0.3)
        contrasts.append(float(numbers["contrast"]))
    assert sum(contrasts[-4:]) / 4 < 0.5 * math.log(5)


@pytest.mark.slow
def test_it_learns_to_restore():
    case = small_case(**CLEAN, initial_lr=0.1, teacher_momentum=0.9)
    nothing = torch.tensor(Transform((False, False), 0).code, dtype=torch.float64)
    batch = {
        **case.batch,
        "targets": case.batch["views"].clone(),
        "codes": nothing.expand_as(case.batch["codes"]).clone(),
    }
    last = numbers_of_training(case.method, case.network, batch, 40)[-1]
    assert last["restoration"] < 0.5 * last["target_variance"]


# Settings and what is shown


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"view_size": [30, 32]}, r'"view_size" \[30, 32\] must be a multiple'),
        ({"queue_size": 3}, '"queue_size" 3 must hold the keys of a batch of 4 at least'),
        ({"view_scale": [2.0, 1.0]}, r'"view_scale" must be \[lowest, highest\]'),
        ({"temperature": 0.0}, '"temperature" must be greater than 0, got 0.0'),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        method_on(PCRLv1, facts_of("2d"), **settings)


def test_images_are_cut_out_and_volumes_painted():
    plane, volume = (method_on(PCRLv1, facts_of(geometry)).settings for geometry in ("2d", "3d"))
    assert (plane.num_cut_outs, plane.p_painting, plane.p_shuffling) == (3, 0, 0)
    assert (volume.num_cut_outs, volume.p_painting, volume.p_shuffling) == (0, 0.9, 0.5)
    hole = {**CLEAN, "num_cut_outs": 1, "cut_out_part": 0.25}
    method = method_on(PCRLv1, facts_of("2d"), **hole)
    image = image_of(method.facts)
    drawn = method.recipe().draw(image.shape[1:], Channels.unmeasured(1), seeded_generator(0))
    made = drawn.prepared().make(region_of(image, drawn))
    clean = resample(region_of(image, drawn), drawn.prepared().group.lines)
    size = math.prod(method.settings.view_size)
    changed = (made["views"] != clean).flatten(1).sum(dim=1)
    assert changed.tolist() == [size // 16] * 2


def test_a_contrast_at_chance_and_restorations_at_the_mean_are_warned_of():
    method = method_on(PCRLv1, facts_of("2d"), queue_size=15)
    logged = {
        "lrs": [0.01] * 12,
        "epoch_end_timestamps": [1.0] * 12,
        "val_contrast": [math.log(19)] * 12,
        "val_retrieval": [0.25] * 12,
        "val_restoration_error": [1.0] * 12,
        **{f"val_feature_spread_level_{level}": [0.0] * 12 for level in range(4)},
    }
    found = method.warnings(logged)
    assert set(found) == {
        "collapse",
        "comparison at chance",
        "the contrast on a plateau",
        "stuck at the mean",
    }
    assert "(2.944)" in found["the contrast on a plateau"]
    without = method_on(PCRLv1, facts_of("2d"), contrast_weight=0.0)
    assert set(without.warnings(logged)) == {"stuck at the mean"}


def test_numbers_are_told_relative_to_constant_answers():
    method = method_on(PCRLv1, facts_of("2d"))
    means = {"contrast": math.log(16) / 2, "contrast_of_alike": math.log(16)}
    means |= {"restoration": 0.5, "target_variance": 2.0}
    found = method.summarised(means)
    assert found["contrast_relative"] == pytest.approx(0.5)
    assert found["restoration_error"] == 0.25


# Through the trainer


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.slow
def test_a_training_goes_on_bit_for_bit_with_teacher_and_queue(nnunet_folders, monkeypatch):
    trainer_class = trainer_named("PCRLv1PretrainTrainer")
    dataset = small_dataset(nnunet_folders, PCRLv1, **SMALL)
    whole = trained(dataset, trainer_class, "3d_fullres")
    content = read_weights(Path(whole.output_folder) / "pretrained_weights.pth")
    assert (content["method"], content["decoder"]) == ("PCRLv1", "skips")
    # Two epochs of two steps of three images.
    assert int(whole.network.queue.position) == 12
    assert_equal_states(whole, resumed(dataset, trainer_class, "3d_fullres", monkeypatch))
