"""Gradient caching: the naive step's gradient at any micro-batch size, in less memory."""

import pytest
import torch
from naive_step import assert_equal_gradients
from planned_networks import planned_network
from steps import (
    BATCH_SIZE,
    NUM_LOCAL,
    WEIGHTS,
    all_draws,
    cached,
    make_case,
    micro_batch_of,
    naive,
)
from torch import nn

from nnunetv2_pcrl.methods.mae.network import DensifiedDecoder
from nnunetv2_pcrl.methods.pcrlv2.loss import Levels, draw_levels
from nnunetv2_pcrl.methods.pcrlv2.objective import (
    PCRLv2Evaluation,
    PCRLv2Objective,
    loss_weights,
)
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.momentum import copy_without_gradient
from nnunetv2_pcrl.training.gradient_cache import Precision, accumulate_gradients, evaluate
from nnunetv2_pcrl.training.micro_batch import MicroBatch, couples_images, normalise_jointly


def some_levels(seed: int = 1) -> Levels:
    return draw_levels(3, NUM_LOCAL, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "geometry", ["2d", *(pytest.param(g, marks=pytest.mark.slow) for g in ("3d", "anisotropic"))]
)
@pytest.mark.parametrize(
    "architecture",
    ["PlainConvUNet", pytest.param("ResidualEncoderUNet", marks=pytest.mark.slow)],
)
def test_gradients_and_numbers_equal_those_of_the_naive_step(architecture, geometry):
    case = make_case(architecture, geometry)
    for levels in all_draws(case.network.num_levels):
        expected, expected_gradients = naive(case, levels)
        for global_views in (1, 3):
            numbers, ours = cached(case, levels, micro_batch_of(case, global_views))
            assert_equal_gradients(ours, expected_gradients)
            assert numbers == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("is_given", [False, True])
def test_a_batch_that_fits_passes_once_with_equal_gradients(is_given):
    case = make_case("PlainConvUNet", "2d")
    micro_batch = micro_batch_of(case, BATCH_SIZE * NUM_LOCAL) if is_given else None
    passes = []
    case.network.backbone.register_forward_hook(lambda *_: passes.append(1))
    levels = some_levels()
    _, ours = cached(case, levels, micro_batch)
    assert len(passes) == 3
    assert_equal_gradients(ours, naive(case, levels)[1])


def test_passes_that_fit_one_by_one_are_not_held_together():
    case = make_case("PlainConvUNet", "2d")
    global_voxels, local_voxels = (
        case.views[name][0, 0, 0].numel() for name in ("target", "local_views")
    )
    voxels = BATCH_SIZE * max(global_voxels, NUM_LOCAL * local_voxels)
    passes = []
    case.network.backbone.register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
    levels = some_levels()
    _, ours = cached(case, levels, MicroBatch(voxels))
    # Each of three without gradient, and again with it.
    assert passes == [False] * 3 + [True] * 3
    assert_equal_gradients(ours, naive(case, levels)[1])


@pytest.mark.parametrize("weights", [(1.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 2.0)])
def test_ablations_have_the_naive_gradient_and_pass_no_view_in_vain(weights):
    case = make_case("PlainConvUNet", "2d")
    levels, weights = some_levels(), loss_weights(*weights)
    micro_batch = micro_batch_of(case, 2)
    _, expected = naive(case, levels, weights)
    _, ours = cached(case, levels, micro_batch, weights)
    assert_equal_gradients(ours, expected)
    with_gradient = []

    def count(_module, inputs, _output):
        if torch.is_grad_enabled():
            with_gradient.append(len(inputs[0]))

    case.network.backbone.register_forward_hook(count)
    objective = PCRLv2Objective(levels, weights)
    accumulate_gradients(case.network, case.views, objective, micro_batch)
    is_compared = bool(weights["global_comparison"])
    assert sum(with_gradient) == BATCH_SIZE * (2 + NUM_LOCAL if is_compared else 1)


def test_the_scale_multiplies_the_gradient_once():
    case = make_case("PlainConvUNet", "2d")
    levels = some_levels()
    for micro_batch in (None, micro_batch_of(case, 2)):
        _, plain = cached(case, levels, micro_batch)
        _, scaled = cached(case, levels, micro_batch, precision=Precision(scale=1024.0))
        unscaled = {n: None if g is None else g / 1024 for n, g in scaled.items()}
        assert_equal_gradients(unscaled, plain)


def test_no_more_voxels_than_a_micro_batch_pass_at_a_time():
    case = make_case("PlainConvUNet", "2d")
    counts = {"global": [], "local": []}
    global_size = case.views["target"].shape[3:]

    def count(_module, inputs, _output):
        kind = "global" if inputs[0].shape[2:] == global_size else "local"
        counts[kind].append(len(inputs[0]))

    case.network.backbone.register_forward_hook(count)
    objective = PCRLv2Objective(Levels(1, ((0, 1),) * NUM_LOCAL), WEIGHTS)
    accumulate_gradients(case.network, case.views, objective, micro_batch_of(case, 2))
    # Global views have 16 x 24 pixels, local ones 16 x 16.
    assert max(counts["global"]) == 2 and max(counts["local"]) == 3
    # Two passes of every view.
    assert sum(counts["global"]) == 2 * 2 * BATCH_SIZE
    assert sum(counts["local"]) == 2 * NUM_LOCAL * BATCH_SIZE


def test_evaluation_in_parts_equals_the_naive_numbers_and_leaves_no_gradient():
    case = make_case("ResidualEncoderUNet", "3d")
    levels = some_levels(2)
    expected, _ = naive(case, levels)
    objective = PCRLv2Evaluation(levels, WEIGHTS, 3)
    for micro_batch in (None, micro_batch_of(case, 2)):
        numbers = evaluate(case.network, case.views, objective, micro_batch)
        found = {name: float(value) for name, value in numbers.items()}
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
        shared = f"restoration_error_level_{levels.shared}"
        assert found[shared] == pytest.approx(found["level_restoration"], abs=1e-12)
        assert {f"retrieval_level_{level}" for level in range(3)} <= found.keys()
    assert all(p.grad is None for p in case.network.parameters())


def test_batch_norm_of_maps_is_joint_and_that_of_heads_stays():
    planned = planned_network(norm_op=nn.BatchNorm2d)
    network = nn.Module()
    network.backbone = Encoder(planned)
    network.teacher = copy_without_gradient(network.backbone)
    network.decoder = DensifiedDecoder(planned)
    network.head = nn.Sequential(nn.BatchNorm1d(2))
    weights = dict(network.named_parameters())
    normalise_jointly(network)
    assert dict(network.named_parameters()) == weights
    for part in ("backbone", "teacher", "decoder"):
        kinds = {type(module) for module in network.get_submodule(part).modules()}
        assert nn.SyncBatchNorm in kinds and nn.BatchNorm2d not in kinds, part
    assert type(network.head[0]) is nn.BatchNorm1d


def test_batch_norm_and_dropout_couple_images_and_instance_norm_does_not():
    assert not couples_images(make_case("PlainConvUNet", "2d").network.backbone)
    for module in (nn.BatchNorm3d(2), nn.Dropout2d(0.5), nn.Dropout(0.1)):
        assert couples_images(nn.Sequential(nn.Conv2d(1, 1, 1), module))


def test_the_micro_batch_has_no_more_than_half_the_voxels_of_the_plans_own_batch():
    micro_batch = MicroBatch.of_plan(2, (128,) * 3, None, 96**3, torch.device("cuda"))
    assert micro_batch == MicroBatch(128**3)
    # 2.37 global views, 8 local ones.
    assert micro_batch.views_of((1, 96, 96, 96)) == 2
    assert micro_batch.views_of((4, 64, 64, 64)) == 8
    # One view passes in any case, on a CPU two: one alone takes a slower kernel.
    for device, least in (("cuda", 1), ("cpu", 2)):
        micro_batch = MicroBatch.of_plan(1, (32, 32), None, 48**2, torch.device(device))
        assert micro_batch.views_of((1, 48, 48)) == least


def test_a_given_number_of_largest_views_takes_the_place_of_the_plans_memory():
    micro_batch = MicroBatch.of_plan(2, (56, 40), 12, 40 * 32, torch.device("cpu"))
    assert micro_batch.views_of((1, 40, 32)) == 12
    assert micro_batch.views_of((1, 24, 16)) == 40


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_mixed_precision_is_finite_and_near_single_precision(dtype):
    case = make_case("PlainConvUNet", "2d")
    levels = some_levels()
    network = case.network.float()
    views = {name: values.float() for name, values in case.views.items()}
    objective = PCRLv2Objective(levels, WEIGHTS)
    precision = Precision(lambda: torch.autocast("cpu", dtype))
    expected = accumulate_gradients(network, views, objective, micro_batch_of(case, 2))
    plain = {n: p.grad for n, p in network.named_parameters()}
    network.zero_grad(set_to_none=True)
    numbers = accumulate_gradients(network, views, objective, micro_batch_of(case, 2), precision)
    for name, value in expected.items():
        assert float(numbers[name]) == pytest.approx(float(value), abs=0.05, rel=0.05), name
    # Comparisons are in single precision, whatever the backbone computes in.
    assert numbers["global_comparison"].dtype == torch.float32
    ours = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    reference = torch.cat([g.flatten() for g in plain.values() if g is not None])
    assert torch.isfinite(ours).all()
    # Batch normalisation over five images magnifies rounding.
    assert torch.cosine_similarity(ours, reference, dim=0) > 0.9
