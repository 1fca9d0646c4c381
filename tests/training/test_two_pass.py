"""The two-pass step: the naive step's gradient at any micro-batch size, in less memory."""

import copy

import pytest
import torch
from steps import (
    BATCH_SIZE,
    NUM_LOCAL,
    WEIGHTS,
    all_draws,
    assert_equal_gradients,
    gradients,
    make_case,
    naive,
    two_pass,
)
from torch import nn

from nnunetv2_pcrl.methods.pcrlv2.loss import Levels, LossWeights, draw_levels
from nnunetv2_pcrl.training.step import comparisons
from nnunetv2_pcrl.training.two_pass import (
    MicroBatch,
    Precision,
    accumulate_gradients,
    couples_images,
    evaluate,
)


@pytest.mark.parametrize("geometry", ["2d", "3d", "anisotropic"])
@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("size", [1, 3])
def test_gradients_and_terms_equal_those_of_the_naive_step(architecture, geometry, size):
    case = make_case(architecture, geometry)
    for levels in all_draws(case.network.num_levels):
        expected, expected_gradients = naive(case, levels)
        result, ours = two_pass(case, levels, MicroBatch(size, 2 * size))
        assert_equal_gradients(ours, expected_gradients)
        for name in vars(expected.terms):
            difference = getattr(result.terms, name) - getattr(expected.terms, name)
            assert abs(float(difference.detach())) < 1e-12, name
        for name in ("projection_spreads", "feature_spreads"):
            torch.testing.assert_close(getattr(result, name), getattr(expected, name))


@pytest.mark.parametrize("micro_batch", [None, MicroBatch(BATCH_SIZE, BATCH_SIZE * NUM_LOCAL)])
def test_a_batch_that_fits_passes_once_with_equal_gradients(micro_batch):
    case = make_case("PlainConvUNet", "2d")
    levels = draw_levels(3, NUM_LOCAL, torch.Generator().manual_seed(1))
    passes = []
    network = copy.deepcopy(case.network)
    network.backbone.register_forward_hook(lambda *_: passes.append(1))
    accumulate_gradients(network, case.views, levels, WEIGHTS, micro_batch)
    assert len(passes) == 3
    assert_equal_gradients(gradients(network), naive(case, levels)[1])


@pytest.mark.parametrize(
    "weights", [LossWeights(comparison=0.0), LossWeights(0.0, 0.0), LossWeights(0.5, 0.25, 2.0)]
)
def test_ablations_have_the_naive_gradient_and_pass_no_view_in_vain(weights):
    case = make_case("PlainConvUNet", "2d")
    levels = draw_levels(3, NUM_LOCAL, torch.Generator().manual_seed(1))
    _, expected = naive(case, levels, weights)
    _, ours = two_pass(case, levels, MicroBatch(2, 7), weights)
    assert_equal_gradients(ours, without_zeros(expected))
    assert without_zeros(ours).keys() == without_zeros(expected).keys()
    with_gradient = []

    def count(_module, inputs, _output):
        if torch.is_grad_enabled():
            with_gradient.append(len(inputs[0]))

    case.network.backbone.register_forward_hook(count)
    accumulate_gradients(case.network, case.views, levels, weights, MicroBatch(2, 7))
    num_views = BATCH_SIZE if weights.comparison == 0 else BATCH_SIZE * (2 + NUM_LOCAL)
    assert sum(with_gradient) == num_views


def without_zeros(values):
    """A term without weight leaves a gradient of zero or none at all: both mean the same."""
    return {n: g for n, g in values.items() if g is not None and g.any()}


def test_the_scale_multiplies_the_gradient_once():
    case = make_case("PlainConvUNet", "2d")
    levels = draw_levels(3, NUM_LOCAL, torch.Generator().manual_seed(1))
    for micro_batch in (None, MicroBatch(2, 7)):
        _, plain = two_pass(case, levels, micro_batch)
        _, scaled = two_pass(case, levels, micro_batch, precision=Precision(scale=1024.0))
        unscaled = {n: None if g is None else g / 1024 for n, g in scaled.items()}
        assert_equal_gradients(unscaled, plain)


def test_no_more_views_than_a_micro_batch_pass_at_a_time():
    case = make_case("PlainConvUNet", "2d")
    counts = {"global": [], "local": []}
    global_size = case.views.target.shape[2:]

    def count(_module, inputs, _output):
        kind = "global" if inputs[0].shape[2:] == global_size else "local"
        counts[kind].append(len(inputs[0]))

    case.network.backbone.register_forward_hook(count)
    levels = Levels(1, ((0, 1),) * NUM_LOCAL)
    accumulate_gradients(case.network, case.views, levels, WEIGHTS, MicroBatch(2, 4))
    assert max(counts["global"]) == 2 and max(counts["local"]) == 4
    # Two passes of every view.
    assert sum(counts["global"]) == 2 * 2 * BATCH_SIZE
    assert sum(counts["local"]) == 2 * NUM_LOCAL * BATCH_SIZE


def test_evaluation_in_parts_equals_the_naive_terms_and_leaves_no_gradient():
    case = make_case("ResidualEncoderUNet", "3d")
    levels = draw_levels(3, NUM_LOCAL, torch.Generator().manual_seed(2))
    expected, _ = naive(case, levels)
    for micro_batch in (None, MicroBatch(2, 7)):
        result = evaluate(case.network, case.views, levels, micro_batch)
        for name in vars(expected.terms):
            difference = getattr(result.terms, name) - getattr(expected.terms, name)
            assert abs(float(difference.detach())) < 1e-12, name
        torch.testing.assert_close(result.feature_spreads, expected.feature_spreads)
        torch.testing.assert_close(
            result.level_errors[levels.shared], result.terms.level_restoration
        )
        for population in (result.pooled.first, result.pooled.second, result.pooled.local):
            assert sorted(population) == [0, 1, 2]
        again = comparisons(case.network, result.pooled, levels)
        torch.testing.assert_close(again[1], result.terms.local_comparison)
    assert all(g is None for g in gradients(case.network).values())


def test_batch_norm_and_dropout_couple_images_and_instance_norm_does_not():
    assert not couples_images(make_case("PlainConvUNet", "2d").network.backbone)
    for module in (nn.BatchNorm3d(2), nn.Dropout2d(0.5), nn.Dropout(0.1)):
        assert couples_images(nn.Sequential(nn.Conv2d(1, 1, 1), module))


def test_the_micro_batch_has_no_more_than_half_the_voxels_of_the_plans_own_batch():
    assert MicroBatch.of_plan(2, (128,) * 3, (96,) * 3, (64,) * 3) == MicroBatch(2, 8)
    assert MicroBatch.of_plan(2, (28, 192, 192), (20, 160, 160), (12, 96, 96)) == MicroBatch(2, 9)
    assert MicroBatch.of_plan(1, (32, 32), (48, 48), (32, 32)) == MicroBatch(1, 1)


def test_a_given_number_of_global_views_takes_the_place_of_the_plans_memory():
    assert MicroBatch.of_plan(2, (56, 40), (40, 32), (24, 16), 12) == MicroBatch(12, 40)
