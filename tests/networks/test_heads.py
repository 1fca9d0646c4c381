"""Heads against their formulas, and what batch normalisation does to small batches."""

import pytest
import torch
import torch.nn.functional as F
from planned_networks import random_images, shaken
from torch import nn

from nnunetv2_pcrl.losses.restoration import in_units, restoration_error
from nnunetv2_pcrl.networks.heads import (
    PredictionHead,
    ProjectionHead,
    RestorationHead,
    global_average_pool,
    set_units,
)

EPS = 1e-5


def normalised(x: torch.Tensor, norm: nn.BatchNorm1d) -> torch.Tensor:
    """Batch normalisation written out."""
    variance = (x - x.mean(dim=0)).square().mean(dim=0)
    return (x - x.mean(dim=0)) / (variance + EPS).sqrt() * norm.weight + norm.bias


@pytest.mark.parametrize("size", [(2, 3), (2, 2, 3)], ids=["2d", "3d"])
def test_pooling_takes_the_mean_over_space_only(size):
    features = torch.arange(4.0).reshape(2, 2, *[1] * len(size)).expand(2, 2, *size).clone()
    features[..., 0, 0] += 6.0
    share = 1 / 6
    expected = torch.tensor([[0.0, 1.0], [2.0, 3.0]]) + 6.0 * share
    torch.testing.assert_close(global_average_pool(features), expected)


def test_a_projection_is_the_batch_normalised_pooled_feature():
    head = shaken(ProjectionHead(5).double())
    pooled = random_images(6, 5, dtype=torch.float64)
    torch.testing.assert_close(head(pooled), normalised(pooled, head.norm))


def test_a_prediction_is_a_two_layer_perceptron_of_double_width():
    head = shaken(PredictionHead(5).double())
    z = random_images(6, 5, dtype=torch.float64)
    first, norm, _, last = head.layers
    assert (first.out_features, last.out_features) == (10, 5)
    hidden = normalised(z @ first.weight.T + first.bias, norm).clamp(min=0)
    torch.testing.assert_close(head(z), hidden @ last.weight.T + last.bias)


def test_a_prediction_leaves_its_input_as_it_was():
    z = random_images(4, 5)
    before = z.clone()
    PredictionHead(5)(z)
    assert torch.equal(z, before)


def test_in_a_batch_of_two_the_projections_are_plus_and_minus_one():
    # Trap 1: whatever the images show, z carries only signs, and the two are exact opposites.
    z = ProjectionHead(64)(10 * random_images(2, 64))
    torch.testing.assert_close(z.abs(), torch.ones(2, 64), rtol=0, atol=1e-2)
    assert F.cosine_similarity(z[0], z[1], dim=0) < -0.9999


def test_in_a_batch_of_eight_the_projections_say_more_than_signs():
    z = ProjectionHead(64)(10 * random_images(8, 64))
    assert z.abs().std() > 0.4
    assert abs(F.cosine_similarity(z[0], z[1], dim=0)) < 0.9


@pytest.mark.parametrize("head", [ProjectionHead(5), PredictionHead(5)], ids=["z", "p"])
def test_populations_do_not_leak_into_one_another(head):
    first, other = random_images(6, 5), 100 + 50 * random_images(8, 5, seed=1)
    before = head(first)
    head(other)
    assert torch.equal(head(first), before)
    assert not list(head.buffers())


@pytest.mark.parametrize("head", [ProjectionHead(5), PredictionHead(5)], ids=["z", "p"])
def test_validation_computes_the_same_as_training(head):
    x = random_images(6, 5)
    assert torch.equal(head.train()(x), head.eval()(x))


@pytest.mark.parametrize("mode", [True, False], ids=["training", "validation"])
def test_a_population_of_one_image_is_refused(mode):
    head = ProjectionHead(5).train(mode)
    with pytest.raises(ValueError, match="more than 1 value"):
        head(random_images(1, 5))


@pytest.mark.parametrize(
    ("conv_op", "size"), [(nn.Conv2d, (4, 6)), (nn.Conv3d, (2, 4, 6))], ids=["2d", "3d"]
)
@pytest.mark.parametrize("num_image_channels", [1, 4])
def test_a_restoration_is_a_linear_map_of_every_voxel(conv_op, size, num_image_channels):
    head = RestorationHead(conv_op, 3, num_image_channels).double()
    features = random_images(2, 3, *size, dtype=torch.float64)
    weight = head.conv.weight.flatten(1)
    voxels = features.movedim(1, -1) @ weight.T + head.conv.bias
    torch.testing.assert_close(head(features), voxels.movedim(-1, 1))
    assert head(1e6 * features).abs().max() > 1e4


def test_restorations_in_units_of_the_data_set_weigh_the_same_whatever_the_intensities():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 4, 8, 8, generator=generator)
    target = torch.randn(2, 1, 8, 8, generator=generator)
    head = RestorationHead(nn.Conv2d, 4, 1)
    found = []
    for std in (1.0, 30.0):
        set_units(head, (std,), (0.0,), (1.0,))
        error = restoration_error(head(features), in_units(std * target, head.stds))
        (gradient,) = torch.autograd.grad(error, head.conv.weight)
        found.append((error.detach(), gradient, head.in_intensities(head(features))))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])
    torch.testing.assert_close(30 * found[0][2], found[1][2])
    # In no checkpoint: they are measured anew.
    assert set(head.state_dict()) == {"conv.weight", "conv.bias"}
