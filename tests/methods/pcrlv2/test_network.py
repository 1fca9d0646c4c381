"""The network with heads: one of each per level, of the level's width."""

import pytest
import torch
from planned_networks import GEOMETRIES, pretraining_network, random_images


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("num_image_channels", [1, 3])
def test_every_level_can_be_embedded_and_restored(geometry, num_image_channels):
    network = pretraining_network("PlainConvUNet", geometry, num_image_channels)
    x = random_images(4, num_image_channels, *GEOMETRIES[geometry].global_size)
    pyramid = network.backbone(x)
    assert network.num_levels == len(pyramid)
    for level, features in enumerate(pyramid):
        pooled = features.mean(dim=tuple(range(2, features.ndim)))
        projection, prediction = network.embed(level, pooled)
        assert projection.shape == prediction.shape == pooled.shape
        restored = network.level_restorations[level](features)
        assert restored.shape == (4, num_image_channels, *features.shape[2:])
    assert network.restoration(pyramid[-1]).shape == x.shape


def test_the_prediction_is_made_from_the_projection():
    network = pretraining_network()
    pooled = random_images(4, 8)
    projection, prediction = network.embed(1, pooled)
    assert torch.equal(projection, network.projections[1](pooled))
    assert torch.equal(prediction, network.predictions[1](projection))


def test_the_full_restoration_and_that_of_the_highest_level_have_heads_of_their_own():
    network = pretraining_network()
    assert network.restoration is not network.level_restorations[-1]
    assert network.restoration.conv.weight is not network.level_restorations[-1].conv.weight


@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet"])
def test_the_network_holds_no_segmentation_layers_and_the_encoder_once(architecture):
    names = list(pretraining_network(architecture).state_dict())
    assert not [name for name in names if "seg_layers" in name]
    assert {name.split(".encoder.")[0] for name in names if ".encoder." in name} == {"backbone"}


def test_it_says_that_it_cannot_segment():
    with pytest.raises(RuntimeError, match="cannot segment.*PCRLv2FinetuneTrainer"):
        pretraining_network()(random_images(1, 1, 16, 24))
