"""RepRec-style: two parts of a training, what is hidden, who teaches and who learns."""

import copy
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
from naive_step import assert_equal_gradients, gradients, naive_loss, naive_numbers, own_images
from ranks import run_on_ranks

from nnunetv2_pcrl.methods.reprec.method import RepRec
from nnunetv2_pcrl.methods.reprec.network import TokenPredictor, positions, tokens_of
from nnunetv2_pcrl.methods.reprec.objective import (
    recovery_error,
    representations,
    token_variance,
)
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.training.gradient_cache import accumulate_gradients
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.micro_batch import MicroBatch
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.seeding import seeded_generator
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

GEOMETRIES = ("2d", "3d", "anisotropic")
SMALL = {"predictor_width": 32, "predictor_depth": 1, "hidden_size": 16, "embedding_size": 8}
# Of the training: in its first and in its second part.
CONTRAST, RECOVERY = 0.25, 0.75


def small_case(geometry: str = "2d", **settings) -> MethodCase:
    return case_of(RepRec, geometry, **{**SMALL, **settings})


def method_of(geometry: str = "2d", **settings) -> RepRec:
    return method_on(RepRec, facts_of(geometry), **settings)


# Views


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_masked_view_is_the_first_one_with_hidden_tokens_at_the_fill(geometry):
    method = method_on(RepRec, facts_of(geometry, 2))
    image = image_of(method.facts)
    drawn = method.recipe().draw(image.shape[1:], Channels.unmeasured(2), seeded_generator(1))
    views = drawn.prepared().make(image[(slice(None), *drawn.region.slices)])
    strides = method.facts.total_stride
    grid = tuple(s // d for s, d in zip(method.settings.view_size, strides, strict=True))
    assert views["views"].shape == (2, 2, *method.settings.view_size)
    assert views["hidden"].shape == (1, 1, *grid)
    count = math.prod(grid)
    assert int(views["hidden"].sum()) == min(max(1, math.floor(0.6 * count)), count - 1)
    hidden = views["hidden"]
    for axis, stride in enumerate(strides, start=2):
        hidden = hidden.repeat_interleave(stride, dim=axis)
    hidden = hidden.bool().expand_as(views["masked"])
    assert not views["masked"][hidden].any()
    assert torch.equal(views["masked"][~hidden], views["views"][:1][~hidden])


# The predictor


@pytest.mark.parametrize("grid", [(3, 4), (2, 3, 2), (1, 3, 5)])
def test_hidden_features_say_nothing_and_places_are_known(grid):
    torch.manual_seed(0)
    predictor = TokenPredictor(6, 32, 2).double()
    features = torch.randn(2, 6, *grid, dtype=torch.float64)
    hidden = torch.zeros(2, 1, *grid, dtype=torch.float64)
    hidden.view(2, -1)[:, ::2] = 1
    other = torch.where(hidden > 0, 100 * features, features)
    recovered = predictor(features, hidden)
    assert recovered.shape == (2, math.prod(grid), 6)
    torch.testing.assert_close(predictor(other, hidden), recovered)
    # Two hidden tokens differ by their place alone.
    assert not torch.allclose(recovered[:, 0], recovered[:, 2])
    # Visible tokens are what hidden ones are told from.
    other = torch.where(hidden > 0, features, features + 1)
    assert not torch.allclose(predictor(other, hidden)[:, 0], recovered[:, 0])


@pytest.mark.parametrize("grid", [(7, 5), (4, 3, 6)])
def test_every_place_has_a_position_of_its_own(grid):
    table = positions(grid, 64)
    assert table.shape == (math.prod(grid), 64)
    assert torch.cdist(table, table).fill_diagonal_(1.0).min() > 0.1
    used = 70 - 70 % (2 * len(grid))
    assert not positions(grid, 70)[:, used:].any()


def test_tokens_are_places_of_a_map():
    maps = torch.arange(12.0).view(1, 2, 2, 3)
    assert tokens_of(maps)[0, 4].tolist() == [4.0, 10.0]


# The loss


def test_only_hidden_tokens_count_and_each_image_for_itself():
    target = torch.randn(2, 6, 5, generator=seeded_generator(0))
    hidden = torch.zeros(2, 6, 1)
    hidden[0, :4] = 1
    hidden[1, :1] = 1
    visible_wrong = torch.where(hidden > 0, target, target + 7)
    assert float(recovery_error(visible_wrong, target, hidden)) == 0
    wrong = target.clone()
    wrong[1] += 2
    # The second image alone is wrong, by 4, however few of its tokens are hidden.
    assert float(recovery_error(wrong, target, hidden)) == pytest.approx(2.0)


def test_the_mean_token_of_each_view_costs_the_variance():
    target = torch.randn(3, 7, 4, generator=seeded_generator(1))
    everywhere = torch.ones(3, 7, 1)
    mean = target.mean(dim=1, keepdim=True).expand_as(target)
    torch.testing.assert_close(recovery_error(mean, target, everywhere), token_variance(target))
    assert float(token_variance(torch.ones(2, 5, 3))) == 0


def test_representations_have_mean_0_and_variance_1_over_their_channels():
    tokens = representations(3 + 5 * torch.randn(2, 8, 3, 4, generator=seeded_generator(2)))
    assert tokens.shape == (2, 12, 8)
    torch.testing.assert_close(tokens.mean(2), torch.zeros(2, 12), rtol=0, atol=1e-5)
    torch.testing.assert_close(tokens.var(2, unbiased=False), torch.ones(2, 12), rtol=0, atol=1e-4)


def test_equal_embeddings_cost_the_logarithm_of_the_others():
    case = small_case()
    torch.nn.init.zeros_(case.network.projector.layers[-1].weight)
    numbers = accumulate_gradients(case.network, case.batch, objective_of(case, CONTRAST), None)
    # Four images: ln 7.
    assert float(numbers["contrast"]) == pytest.approx(math.log(7))
    assert set(numbers) == {"contrast"}


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet"])
def test_the_recovery_has_the_gradient_of_one_graph_and_it_reaches_the_encoder(
    architecture, geometry
):
    case = case_of(RepRec, geometry, architecture, num_channels=2, **SMALL)
    expected = copy.deepcopy(case.network)
    objective = objective_of(MethodCase(case.method, expected, case.batch), RECOVERY)
    numbers = naive_numbers(expected, case.batch, objective)
    naive_loss(numbers, objective).backward()
    assert set(numbers) == {"recovery", "token_variance"}
    accumulate_gradients(case.network, case.batch, objective, MicroBatch(1))
    assert_equal_gradients(gradients(case.network), gradients(expected))
    found = gradients(case.network)
    encoder = [g for name, g in found.items() if name.startswith("backbone.") and "conv.w" in name]
    assert encoder and all(g is not None and g.any() for g in encoder)
    for name, gradient in found.items():
        is_untouched = name.startswith(("teacher.", "projector."))
        assert (gradient is None) == is_untouched, name


def recovery_of_a_rank() -> dict:
    case = small_case()
    joint = JointBatch.of_this_process(BATCH_SIZE)
    own = own_images(case.batch, joint.own)
    accumulate_gradients(
        case.network, own, objective_of(case, RECOVERY), MicroBatch(1), joint=joint
    )
    joint.average_gradients(case.network)
    return gradients(case.network)


def test_two_processes_recover_like_one():
    case = small_case()
    accumulate_gradients(case.network, case.batch, objective_of(case, RECOVERY), MicroBatch(1))
    for found in run_on_ranks(recovery_of_a_rank, 2):
        assert_equal_gradients(found, gradients(case.network))


def test_what_is_hidden_reaches_the_target_and_not_the_recovery():
    case = small_case()
    batch = dict(case.batch)
    hidden = batch["hidden"][0]
    for axis, stride in enumerate(case.method.facts.total_stride, start=2):
        hidden = hidden.repeat_interleave(stride, dim=axis)
    changed = {**batch, "views": batch["views"].clone()}
    changed["views"][0] += 9 * hidden * torch.randn_like(batch["views"][0])
    objective = objective_of(case, RECOVERY)
    pyramid = case.network.backbone(batch["masked"][0])
    errors = [
        float(objective.of_views(case.network, "masked", pyramid, views)["recovery"].detach())
        for views in (batch, changed)
    ]
    assert errors[0] != errors[1]
    assert not (batch["masked"][0] * hidden).any()


def test_nothing_hidden_and_a_predictor_that_gives_back_its_input_cost_nothing():
    case = small_case()
    case.network.teacher.load_state_dict(case.network.backbone.state_dict())
    case.network.predictor.forward = lambda features, hidden: representations(features)
    batch = {**case.batch, "masked": case.batch["views"][:1]}
    pyramid = case.network.backbone(batch["masked"][0])
    numbers = objective_of(case, RECOVERY).of_views(case.network, "masked", pyramid, batch)
    assert float(numbers["recovery"].detach()) == 0


# The teacher


def test_the_teacher_equals_the_encoder_until_recovery_begins_and_follows_it_slowly_then():
    case = small_case()
    network, method = case.network, case.method
    numbers_of_training(method, network, case.batch, 2, CONTRAST)
    student = network.backbone.state_dict()
    for name, value in network.teacher.state_dict().items():
        assert torch.equal(value, student[name])
    before = {name: value.clone() for name, value in network.teacher.state_dict().items()}
    numbers_of_training(method, network, case.batch, 1, 0.5)
    for name, value in network.teacher.state_dict().items():
        torch.testing.assert_close(value, 0.99 * before[name] + 0.01 * student[name])
    assert not any(p.requires_grad for p in network.teacher.parameters())


def test_the_momentum_is_0_then_rises_to_1():
    method = method_of()
    momenta = [method.teacher_momentum(p) for p in (0.0, 0.49, 0.5, 0.75, 1.0)]
    assert momenta == pytest.approx([0, 0, 0.99, 0.995, 1.0])
    assert method.schedules(0.5) == {"teacher_momentum": pytest.approx(0.99)}


def test_a_validation_has_both_terms_and_does_not_move_the_teacher():
    case = small_case()
    before = {name: value.clone() for name, value in case.network.state_dict().items()}
    objective = objective_of(case, None)
    assert objective.weights == {"contrast": 1.0, "recovery": 1.0}
    with torch.no_grad():
        numbers = naive_numbers(case.network, case.batch, objective)
    assert {"contrast", "recovery", "retrieval", "token_variance"} <= set(numbers)
    for name, value in case.network.state_dict().items():
        assert torch.equal(value, before[name])


# Learning


@pytest.mark.slow
def test_it_learns_to_tell_images_apart_and_to_recover_what_is_hidden():
    case = small_case(initial_lr=3e-3)
    first = numbers_of_training(case.method, case.network, case.batch, 25, CONTRAST)[-1]
    assert first["contrast"] < 0.7 * math.log(7)
    last = numbers_of_training(case.method, case.network, case.batch, 60, RECOVERY)[-1]
    assert last["recovery"] < 0.6 * last["token_variance"]


# Settings and what is shown


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"view_size": [30, 32]}, r'"view_size" \[30, 32\] must be a multiple'),
        ({"predictor_width": 40}, '"predictor_width" must be a multiple of 32'),
        ({"view_scale": [2.0, 1.0]}, r'"view_scale" must be \[lowest, highest\]'),
        ({"contrastive_part": 1.0}, '"contrastive_part" must be less than 1, got 1.0'),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        method_of(**settings)


def logged(num_epochs: int, **values) -> dict[str, list]:
    names = {"lrs": [0.01] * num_epochs, "epoch_end_timestamps": [1.0] * num_epochs}
    names["val_retrieval"] = [1.0] * num_epochs
    return {**names, **{name: list(v) for name, v in values.items()}}


def test_warnings_are_of_the_term_that_is_trained():
    method = method_of(batch_size=8, num_epochs=40)
    chance = [math.log(15)] * 20
    (text,) = method.warnings(logged(20, val_contrast=chance)).values()
    assert "the contrast is at 2.708, the value of one constant answer" in text
    stuck = {"val_contrast": [*chance, *[math.log(15)] * 12], "val_recovery_error": [1.0] * 32}
    (text,) = method.warnings(logged(32, **stuck)).values()
    assert "the recovery is at 1.000, the value of one constant answer" in text
    falling = [1.0] * 20 + [1 - 0.05 * e for e in range(12)]
    assert not method.warnings(logged(32, **{**stuck, "val_recovery_error": falling}))


def test_features_that_are_equal_for_all_images_are_a_collapse():
    method = method_of(batch_size=8)
    spreads = {f"val_feature_spread_level_{level}": [0.0] * 3 for level in range(4)}
    assert "collapse" in method.warnings(logged(3, val_contrast=[1.0] * 3, **spreads))


def test_small_batches_are_said_before_the_first_epoch():
    assert "small batch" in method_of(batch_size=4).remarks()
    assert not method_of(batch_size=8).remarks()


def test_pictures_show_true_and_recovered_maps_that_differ_where_tokens_are_hidden():
    case = small_case()
    image = image_of(case.method.facts)
    drawn = case.method.recipe().draw(image.shape[1:], Channels.unmeasured(1), seeded_generator(1))
    made = drawn.prepared().make(image[(slice(None), *drawn.region.slices)])
    views = {name: values[:, None].double() for name, values in made.items()}
    with torch.no_grad():
        pictures = case.method.pictures(case.network.eval(), drawn, views)
    titles = [column.title for column in pictures.columns]
    assert titles == ["masked view", "view", "representation", "hidden tokens recovered"]
    hidden = views["hidden"][0]
    for axis, stride in enumerate(case.method.facts.total_stride, start=2):
        hidden = hidden.repeat_interleave(stride, dim=axis)
    assert not pictures.difference[hidden[0] == 0].any()
    assert pictures.difference[hidden[0] > 0].any()


# Through the trainer


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_a_training_goes_on_bit_for_bit_where_the_second_part_begins(nnunet_folders, monkeypatch):
    trainer_class = trainer_named("RepRecPretrainTrainer")
    dataset = small_dataset(nnunet_folders, RepRec, **SMALL)
    whole = trained(dataset, trainer_class, "3d_fullres")
    content = read_weights(Path(whole.output_folder) / "pretrained_weights.pth")
    assert (content["method"], content["decoder"]) == ("RepRec", "none")
    again = resumed(dataset, trainer_class, "3d_fullres", monkeypatch)
    assert_equal_states(whole, again)
    losses = {n: whole.logger.get_value(f"train_{n}", step=None) for n in ("contrast", "recovery")}
    assert [math.isfinite(v) for v in losses["contrast"]] == [True, False]
    assert [math.isfinite(v) for v in losses["recovery"]] == [False, True]
