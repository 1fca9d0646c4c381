"""Settings of PCRLv2's variants by name."""

import pytest
import torch
from method_cases import facts_of, image_of
from planned_networks import planned_network

from nnunetv2_pcrl.methods.pcrlv2.method import PCRLv2
from nnunetv2_pcrl.methods.pcrlv2.variants import authors_settings
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import is_variant, settings_for
from nnunetv2_pcrl.networks.heads import BoundedHead, set_units
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.seeding import seeded_generator

PLANS = {
    2: PlanFacts((192, 192), 12, (1.0, 1.0), ((1, 1), (4, 4), (8, 8)), 1),
    3: PlanFacts((128,) * 3, 2, (1.0,) * 3, ((1,) * 3, (4,) * 3, (8,) * 3), 1),
}


def settings_of(*words: str, section=None, num_axes: int = 3):
    return settings_for(PCRLv2, PLANS[num_axes], section or {}, words)


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("restorationOnly", "comparison_weight", 0),
        ("comparisonOnly", "restoration_weight", 0),
        ("seed0", "seed", 0),
        ("seed12", "seed", 12),
        ("lr2en3", "initial_lr", 0.002),
        ("40epochs", "num_epochs", 40),
        ("1epoch", "num_epochs", 1),
    ],
)
def test_words_stand_for_settings_whatever_the_plans_file_says(word, name, value):
    for num_axes in PLANS:
        settings = settings_of(word, section={name: 7}, num_axes=num_axes)
        assert getattr(settings, name) == value


@pytest.mark.parametrize("word", ["", "restoration", "seed", "seed-1", "lr0en3", "authors2"])
def test_other_words_stand_for_nothing(word):
    assert not is_variant(PCRLv2, word)


@pytest.mark.parametrize("num_axes, batch_size, lr", [(2, 64, 1e-2), (3, 32, 1e-3)])
def test_the_authors_settings_are_theirs_and_fit_any_plan(num_axes, batch_size, lr):
    settings = settings_of("authors", num_axes=num_axes)
    assert (settings.batch_size, settings.initial_lr) == (batch_size, lr)
    assert (settings.num_epochs, settings.momentum, settings.weight_decay) == (240, 0.9, 1e-4)
    # Global views of 96 in 3D: local ones have two strides of 32, and crops of 12 to 48 voxels. In
    # 2D 160, three strides, and crops of 1/4 to 0.65 of it.
    assert settings.local_size == ((64,) * 3 if num_axes == 3 else (96,) * 2)
    crops = [scale * settings.local_size[0] for scale in settings.local_scale]
    assert crops == pytest.approx([12, 48] if num_axes == 3 else [40, 104], rel=1e-4)


def test_the_authors_3d_views_are_theirs_where_the_network_can_take_them():
    facts = PlanFacts((128,) * 3, 2, (1.0,) * 3, ((1,) * 3, (4,) * 3), 1)
    settings = settings_for(PCRLv2, facts, {}, ["authors"])
    # Crops of 8 to 32 voxels of 64 for local views of 16.
    assert settings.global_size == (96,) * 3
    assert (settings.local_size, settings.local_scale) == ((24,) * 3, (0.5, 2.0))
    assert (settings.depth_scale, settings.mirrored_axes) == ((1.0, 3.0), (0,))
    assert settings.swaps_last and settings.normalize_views
    assert settings.restoration_weight == 0.05


@pytest.mark.parametrize("num_axes", [2, 3])
def test_the_authors_views_and_network_follow_their_settings(num_axes):
    geometry = "2d" if num_axes == 2 else "3d"
    facts = facts_of(geometry, 2)
    method = PCRLv2(settings_for(PCRLv2, facts, {"batch_size": 4}, ["authors"]), facts)
    network = method.build(planned_network("PlainConvUNet", geometry, 2))
    is_bounded = [isinstance(head, BoundedHead) for head in network.level_restorations]
    assert all(is_bounded) if num_axes == 3 else not any(is_bounded)
    image = image_of(facts)
    flips = set()
    for seed in range(20):
        drawn = method.recipe().draw(
            image.shape[1:], Channels.unmeasured(2), seeded_generator(seed)
        )
        flips.add(drawn.global_views[0].place.deformation.flips)
    assert flips == (
        {(False, False), (False, True)} if num_axes == 2 else {(False,) * 3, (True, False, False)}
    )
    made = drawn.prepared().make(image[(slice(None), *drawn.region.slices)])
    for name in ("global_views", "local_views"):
        flat = made[name].flatten(2)
        is_normal = torch.allclose(flat.mean(-1), torch.zeros(()), atol=1e-4) and torch.allclose(
            flat.var(-1, correction=0), torch.ones(()), atol=1e-3
        )
        assert is_normal == (num_axes == 3)
    assert abs(made["target"].mean()) > 1e-3


def test_bounded_heads_restore_within_the_range_of_the_channel_and_pass_images_apart():
    head = BoundedHead(torch.nn.Conv3d, 4, 2, is_wide=True)
    set_units(head, (2.0, 10.0), (-4.0, 0.0), (6.0, 50.0))
    features = 100 * torch.randn(3, 4, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    restored = head.in_intensities(head(features))
    assert restored[:, 0].min() >= -4 and restored[:, 0].max() <= 6
    assert restored[:, 1].min() >= 0 and restored[:, 1].max() <= 50
    torch.testing.assert_close(head(features[1:2]), head(features)[1:2])


def test_the_plans_file_may_change_the_authors_settings_and_ablations_may_change_both():
    assert settings_of("authors", section={"batch_size": 8}).batch_size == 8
    both = settings_of("authors", "restorationOnly", section={"comparison_weight": 2.0})
    assert (both.batch_size, both.comparison_weight) == (32, 0.0)


def test_the_authors_settings_can_be_changed_without_changing_them():
    authors_settings(PLANS[3])["batch_size"] = 1
    assert authors_settings(PLANS[3])["batch_size"] == 32
