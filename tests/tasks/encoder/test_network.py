"""The classifier: what it keeps of the planned network, and how its linear layer begins."""

import math

import numpy as np
import pytest
import torch
from planned_networks import ARCHITECTURES, FEATURES, GEOMETRIES, planned_network, random_images
from torch import nn

from nnunetv2_pcrl.tasks.encoder.loss import summed_loss
from nnunetv2_pcrl.tasks.encoder.network import Classifier, Standardisation, prior_logits

every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES)


def classifier(geometry="2d", architecture="PlainConvUNet", stages="last", dropout=0.0):
    return Classifier(planned_network(architecture, geometry), 3, stages, dropout)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@every_geometry
def test_it_has_the_encoder_of_the_planned_network_and_gives_a_logit_per_class(
    architecture, geometry
):
    planned = planned_network(architecture, geometry)
    network = Classifier(planned, 3, "last", 0.2)
    assert network.encoder is planned.encoder
    names = {name for name, _ in network.named_parameters()}
    encoder = {f"encoder.{name}" for name, _ in planned.encoder.named_parameters()}
    assert names == encoder | {"linear.weight", "linear.bias"}
    images = random_images(2, 1, *GEOMETRIES[geometry].global_size)
    assert network(images).shape == (2, 3)


@pytest.mark.parametrize(("stages", "num_features"), [("last", FEATURES[-1]), ("all", 44)])
@every_geometry
def test_pooled_features_are_means_over_space(geometry, stages, num_features):
    network = classifier(geometry, stages=stages)
    images = random_images(2, 1, *GEOMETRIES[geometry].global_size)
    pooled = network.pooled(images)
    assert pooled.shape == (2, num_features)
    last = network.encoder(images)[-1]
    torch.testing.assert_close(pooled[:, -FEATURES[-1] :], last.flatten(2).mean(2))


def test_every_parameter_gets_a_gradient_once_the_linear_layer_has_moved():
    network = classifier(stages="all")
    nn.init.normal_(network.linear.weight)
    images = random_images(2, 1, 16, 24)
    summed_loss(network(images), torch.eye(3)[:2], "multilabel")[0].backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # A bias before instance normalisation has a gradient of rounding only.
        assert parameter.grad.any() or name.endswith("conv.bias"), name


def test_dropout_is_drawn_in_training_only():
    network = classifier(dropout=0.5)
    nn.init.normal_(network.linear.weight)
    images = random_images(1, 1, 16, 24)
    assert torch.equal(network.eval()(images), network(images))
    network.train()
    assert not torch.equal(network(images), network(images))


def test_a_network_without_encoder_is_refused():
    with pytest.raises(ValueError, match="Linear has no encoder to classify with; plan with one"):
        Classifier(nn.Linear(1, 1), 2, "last", 0.0)


TARGETS = np.array([[1, 0], [0, 0], [0, 1], [0, np.nan], [1, np.nan]], dtype=float)


def test_a_bias_at_the_log_odds_of_the_prevalence_gives_its_entropy():
    shares = np.array([2 / 5, 1 / 3])
    logits = prior_logits(TARGETS, "multilabel")
    np.testing.assert_allclose(logits, np.log(shares / (1 - shares)))
    network = classifier()
    network.linear = nn.Linear(16, 2)
    nn.init.zeros_(network.linear.weight)
    network.linear.bias.data = torch.from_numpy(logits).float()
    images = random_images(5, 1, 16, 24)
    total, _ = summed_loss(network(images), torch.from_numpy(TARGETS), "multilabel")
    entropy = -(shares * np.log(shares) + (1 - shares) * np.log(1 - shares))
    assert total.item() == pytest.approx(5 * entropy[0] + 3 * entropy[1], rel=1e-6)


def test_a_bias_at_the_log_of_the_shares_gives_the_entropy_of_one_class_per_image():
    targets = np.eye(3)[[0, 0, 1, 2]]
    logits = torch.from_numpy(prior_logits(targets, "multiclass")).expand(4, 3)
    total, _ = summed_loss(logits, torch.from_numpy(targets), "multiclass")
    entropy = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
    assert total.item() == pytest.approx(4 * entropy, rel=1e-6)


def test_a_class_that_nobody_or_everybody_has_gets_a_finite_bias():
    logits = prior_logits(np.array([[0, 1, np.nan], [0, 1, np.nan]]), "multilabel")
    np.testing.assert_allclose(logits, [math.log(0.25 / 0.75), math.log(3), 0])


def test_standardised_features_have_mean_0_and_spread_1_where_they_differ():
    features = torch.tensor([[1.0, 5.0, 0.0], [3.0, 5.0, 0.2]])
    standardise = Standardisation(3)
    torch.testing.assert_close(standardise(features), features)
    standardise.measure([features[:1], features[1:]])
    expected = torch.tensor([[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]])
    torch.testing.assert_close(standardise(features), expected)


def test_features_of_a_single_image_are_left_finite():
    standardise = Standardisation(2)
    standardise.measure([torch.tensor([[1.0, 2.0]])])
    torch.testing.assert_close(standardise(torch.tensor([[1.5, 2.0]])), torch.tensor([[0.5, 0.0]]))
