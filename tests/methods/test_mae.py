"""Masked autoencoding: which voxels are hidden, what the network may know of them, what counts."""

import math

import pytest
import torch
from method_cases import MethodCase, case_of
from naive_step import assert_equal_gradients, gradients, random_batch
from planned_networks import GEOMETRIES, planned_network, shaken

from nnunetv2_pcrl.methods.mae.method import MAE
from nnunetv2_pcrl.methods.mae.network import MAENetwork, wholly_hidden
from nnunetv2_pcrl.methods.mae.objective import MAEObjective, masked_error
from nnunetv2_pcrl.methods.mae.settings import block_size_of
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.training.gradient_cache import accumulate_gradients
from nnunetv2_pcrl.training.micro_batch import MicroBatch
from nnunetv2_pcrl.views.blocks import draw_blocks, mask_of
from nnunetv2_pcrl.views.channels import Channels

pytestmark = pytest.mark.usefixtures("one_thread")

IN_2D = PlanFacts(
    (64, 48), 8, (0.8, 0.8), ((1, 1), (2, 2), (2, 2), (2, 2)), 1, ("RescaleTo01Normalization",)
)
IN_3D = PlanFacts(
    (32, 32, 32), 2, (1.0,) * 3, ((1,) * 3, (2,) * 3, (2,) * 3), 2, ("NoNormalization",) * 2
)
ANISOTROPIC = PlanFacts(
    (7, 40, 44), 2, (5.0, 0.8, 0.8), ((1, 1, 1), (1, 2, 2), (1, 2, 2)), 3, ("CTNormalization",) * 3
)
PLANS = [
    pytest.param(IN_2D, id="2d"),
    pytest.param(IN_3D, id="3d"),
    pytest.param(ANISOTROPIC, id="anisotropic"),
]


def method_of(facts: PlanFacts, **settings) -> MAE:
    return MAE(settings_for(MAE, facts, settings), facts)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(facts: PlanFacts, image: torch.Tensor, seed: int = 0, **settings) -> dict:
    drawn = (
        method_of(facts, **settings)
        .recipe()
        .draw(image.shape[1:], Channels.unmeasured(len(image)), seeded(seed))
    )
    return drawn.prepared().make(image[(slice(None), *drawn.region.slices)])


def noise_image(facts: PlanFacts) -> torch.Tensor:
    size = [s + 9 for s in facts.patch_size]
    return 2 + torch.randn(facts.num_channels, *size, generator=seeded(5))


# Blocks


def test_exactly_the_floor_of_the_ratio_is_hidden():
    assert int(draw_blocks((160,) * 3, (16,) * 3, 0.75, seeded()).sum()) == 750
    # 6 x 9 x 9 = 486 blocks: 364.5.
    blocks = draw_blocks((18, 144, 144), (3, 16, 16), 0.75, seeded())
    assert blocks.shape == (6, 9, 9) and int(blocks.sum()) == 364


def test_every_block_is_hidden_as_often_as_the_ratio_says():
    generator = seeded()
    mean = torch.stack([draw_blocks((16, 16), (4, 4), 0.75, generator) for _ in range(2000)])
    assert (mean.float().mean(dim=0) - 0.75).abs().max() < 0.05


def test_something_is_hidden_and_something_visible_in_the_smallest_grids():
    assert int(draw_blocks((4, 2), (2, 2), 0.1, seeded()).sum()) == 1
    assert int(draw_blocks((4, 2), (2, 2), 0.99, seeded()).sum()) == 1


@pytest.mark.parametrize(
    ("patch", "strides", "expected"),
    [
        # A tenth of 160 is 16, the total stride of the fifth stage.
        ((160,) * 3, ((1,) * 3, *((2,) * 3,) * 5), (16, 16, 16)),
        # 1.4 x 25.6 x 25.6: between 16 and 32 in the plane, 16 is nearer.
        ((14, 256, 256), ((1, 1, 1), *((1, 2, 2),) * 4, (1, 2, 2)), (1, 32, 32)),
        ((512, 512), ((1, 1), *((2, 2),) * 6), (64, 64)),
        ((56, 40), ((1, 1), (2, 2), (2, 2), (2, 2)), (4, 4)),
    ],
)
def test_blocks_have_the_stride_of_the_stage_nearest_to_a_tenth_of_the_patch(
    patch, strides, expected
):
    facts = PlanFacts(patch, 2, (1.0,) * len(patch), strides, 1)
    assert block_size_of(facts) == expected


def test_a_mask_is_constant_on_blocks_and_cut_where_the_last_one_stands_out():
    blocks = torch.tensor([[True, False, True], [False, True, False]])
    mask = mask_of(blocks[None, None], (2, 3), (3, 7))
    assert mask.shape == (1, 1, 3, 7)
    expected = [[1, 1, 1, 0, 0, 0, 1], [1, 1, 1, 0, 0, 0, 1], [0, 0, 0, 1, 1, 1, 0]]
    assert mask[0, 0].int().tolist() == expected


# Views


@pytest.mark.parametrize("facts", PLANS)
def test_views_have_the_patch_cut_to_a_multiple_of_the_stride(facts):
    views = made(facts, noise_image(facts))
    size = method_of(facts).settings.view_size
    strides = facts.total_stride
    assert all(p - d < s <= p for s, p, d in zip(size, facts.patch_size, strides, strict=True))
    assert views["target"].shape == (1, facts.num_channels, *size)
    assert views["corrupted"].shape == views["target"].shape
    assert views["mask"].shape == (1, 1, *size)


@pytest.mark.parametrize("facts", PLANS)
def test_hidden_voxels_hold_the_fill_and_visible_ones_the_target(facts):
    views = made(facts, noise_image(facts))
    hidden = views["mask"].bool().expand_as(views["target"])
    assert torch.equal(views["corrupted"][~hidden], views["target"][~hidden])
    for channel in range(facts.num_channels):
        where = hidden[0, channel]
        expected = float(views["target"][0, channel][~where].mean())
        filled = views["corrupted"][0, channel][where]
        torch.testing.assert_close(filled, torch.full_like(filled, expected))


def test_the_fill_of_zscored_channels_is_zero_and_of_others_the_mean_of_what_is_visible():
    facts = PlanFacts((32, 32), 2, (1.0, 1.0), ((1, 1), (2, 2)), 2, ("ZScoreNormalization", "CT"))
    views = made(facts, noise_image(facts))
    hidden = views["mask"][0, 0].bool()
    assert (views["corrupted"][0, 0][hidden] == 0).all()
    mean = views["target"][0, 1][~hidden].mean()
    torch.testing.assert_close(views["corrupted"][0, 1][hidden], mean.expand(int(hidden.sum())))


@pytest.mark.parametrize("facts", PLANS)
def test_nothing_of_hidden_voxels_reaches_the_input_or_the_output(facts):
    # Without turning and scaling, every voxel of the view is one of the image.
    still = {"rotation_degrees": 0.0, "deformation_scale": 0.0}
    image = noise_image(facts)
    numbers = torch.arange(image[0].numel(), dtype=torch.float32).view(image.shape[1:])
    views = made(facts, numbers.expand_as(image).contiguous(), **still)
    hidden = views["target"][0, 0][views["mask"][0, 0] > 0].round().long()
    changed = image.clone()
    changed.flatten(1)[:, hidden] += 100
    first, second = (made(facts, values, **still) for values in (image, changed))
    assert (second["target"] - first["target"]).max() > 99
    torch.testing.assert_close(second["corrupted"], first["corrupted"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_network_restores_every_channel_at_full_resolution(architecture, geometry):
    images = torch.randn(2, 3, *GEOMETRIES[geometry].global_size, generator=seeded())
    mask = torch.zeros_like(images[:, :1])
    for densified in (False, True):
        network = MAENetwork(planned_network(architecture, geometry, 3), 3, densified)
        assert (
            network.images(network.features(network.backbone(images), mask)).shape == images.shape
        )


@pytest.mark.parametrize("facts", PLANS)
def test_equal_generators_make_equal_views_and_storages_are_apart(facts):
    image = noise_image(facts)
    views, again, other = (made(facts, image, seed) for seed in (3, 3, 4))
    for name, values in views.items():
        assert torch.equal(values, again[name])
    assert not torch.equal(views["mask"], other["mask"])
    storages = {values.untyped_storage().data_ptr() for values in (image, *views.values())}
    assert len(storages) == 4


def test_an_image_smaller_than_the_patch_is_enlarged_not_padded():
    views = made(IN_2D, torch.randn(1, 30, 29, generator=seeded()))
    assert views["target"].shape == (1, 1, 64, 48)
    assert torch.isfinite(views["target"]).all()


# Loss


def test_only_hidden_voxels_count_and_channels_are_averaged():
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, :, :2] = 1
    mask[1, :, :1] = 1
    target = torch.randn(2, 3, 4, 4, generator=seeded())
    restored = torch.where(mask.bool(), target, target + 7).requires_grad_()
    assert masked_error(restored, target, mask) == 0
    error = masked_error(target + 0.5, target, mask)
    assert float(error) == pytest.approx(0.25)
    (gradient,) = torch.autograd.grad(masked_error(restored + 1, target, mask), restored)
    assert not gradient[~mask.bool().expand_as(gradient)].any()


def test_restoring_nothing_costs_the_mean_square_of_what_is_hidden():
    target, mask = torch.randn(1, 2, 8, 8, generator=seeded()), torch.zeros(1, 1, 8, 8)
    mask[..., 2:5] = 1
    expected = target[..., 2:5].square().mean()
    torch.testing.assert_close(masked_error(torch.zeros_like(target), target, mask), expected)


def test_images_one_by_one_are_the_batch_whatever_their_ratios():
    torch.manual_seed(0)
    network = MAENetwork(shaken(planned_network("ResidualEncoderUNet", "2d", 1)), 1).double()
    batch = random_batch({name: (1, 3, 1, 16, 24) for name in ("target", "corrupted")})
    batch["mask"] = torch.zeros(1, 3, 1, 16, 24, dtype=torch.float64)
    for image, rows in enumerate((2, 5, 11)):
        batch["mask"][0, image, :, :rows] = 1
    outcomes = []
    for micro_batch in (None, MicroBatch(1)):
        network.zero_grad(set_to_none=True)
        numbers = accumulate_gradients(network, batch, MAEObjective(), micro_batch)
        outcomes.append((float(numbers["restoration"]), gradients(network)))
        gradients_now = {n: None if g is None else g.clone() for n, g in outcomes[-1][1].items()}
        outcomes[-1] = (outcomes[-1][0], gradients_now)
    assert outcomes[0][0] == pytest.approx(outcomes[1][0], abs=1e-12)
    assert_equal_gradients(outcomes[1][1], outcomes[0][1])


# Settings


def test_the_plan_gives_patch_batch_and_blocks():
    settings = method_of(ANISOTROPIC).settings
    assert settings.view_size == (7, 40, 44)
    assert settings.batch_size == 4
    assert (settings.initial_lr, settings.momentum) == (1e-2, 0.99)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"view_size": [30, 32, 32]}, r'"view_size" \[30, 32, 32\] must be a multiple'),
        ({"block_size": [4, 4]}, r'"block_size" must be 3 positive integers, got \(4, 4\)'),
        ({"block_size": [64, 64, 64]}, r'"block_size" \[64, 64, 64\] leaves one block'),
        ({"mask_ratio": 1.0}, '"mask_ratio" must be less than 1, got 1.0'),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        method_of(IN_3D, **settings)


def test_the_error_is_told_in_units_of_the_variance():
    means = method_of(IN_2D).summarised({"restoration": 0.5, "target_variance": 2.0})
    assert means["restoration_error"] == 0.25
    assert math.isfinite(
        method_of(IN_2D).summarised({"restoration": 0.5, "target_variance": 0.0})[
            "restoration_error"
        ]
    )


# Densified


def densified_case(geometry: str = "2d") -> MethodCase:
    # Some voxels of the first stages are then wholly hidden, and others are not.
    size = {"2d": [4, 4], "3d": [4, 4, 4], "anisotropic": [1, 4, 4]}[geometry]
    return case_of(MAE, geometry, densified=True, block_size=size, num_channels=2)


def test_a_stage_saw_nothing_where_all_that_it_stands_for_is_hidden():
    mask = torch.ones(1, 1, 4, 8)
    mask[0, 0, 1, 2] = 0
    assert wholly_hidden(mask, (4, 8)).float().equal(mask)
    assert wholly_hidden(mask, (2, 4))[0, 0].tolist() == [[True, False, True, True], [True] * 4]
    assert wholly_hidden(mask, (1, 2))[0, 0].tolist() == [[False, True]]
    volume = torch.ones(1, 1, 3, 4, 4)
    volume[0, 0, 0] = 0
    assert wholly_hidden(volume, (3, 2, 2))[0, 0, :, 0, 0].tolist() == [False, True, True]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_what_the_encoder_makes_of_fills_alone_does_not_reach_the_decoder(geometry):
    case = densified_case(geometry)
    network, mask = case.network, case.batch["mask"][0]
    pyramid = [level.detach() for level in network.backbone(case.batch["corrupted"][0])]
    hidden = [wholly_hidden(mask, level.shape[2:]) for level in pyramid]
    assert hidden[-1].any() and hidden[-2].any()
    changed = [
        torch.where(where, 100.0, level) for where, level in zip(hidden, pyramid, strict=True)
    ]
    restored = [network.features(levels, mask) for levels in (pyramid, changed)]
    torch.testing.assert_close(*restored)
    seen = [torch.where(where, level, 100.0) for where, level in zip(hidden, pyramid, strict=True)]
    assert not torch.allclose(network.features(seen, mask), restored[0])


def test_the_variant_costs_more_and_restores_with_the_same_views():
    facts = IN_2D
    plain, densified = (
        MAE(settings_for(MAE, facts, {}, words), facts) for words in ([], ["densified"])
    )
    assert densified.settings.densified and not plain.settings.densified
    assert densified.step_cost == pytest.approx(1.15 * plain.step_cost)
    assert densified.settings.num_epochs < plain.settings.num_epochs
