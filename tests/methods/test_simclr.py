"""SimCLR: two views of every image, and what tells images apart."""

import math
import re

import pytest
import torch
from planned_networks import planned_network, random_images, shaken

from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.simclr import SimCLR
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.training.gradient_cache import evaluate
from nnunetv2_pcrl.views.channels import Channels

pytestmark = pytest.mark.usefixtures("one_thread")

PLANS = {
    "2d": PlanFacts((48, 64), 4, (0.8, 0.8), ((1, 1), (2, 2), (2, 2), (2, 2)), 2),
    "3d": PlanFacts((32, 32, 40), 2, (1.0,) * 3, ((1,) * 3, (2,) * 3, (2,) * 3), 1),
    "anisotropic": PlanFacts((6, 40, 40), 2, (5.0, 0.8, 0.8), ((1, 1, 1), (1, 2, 2), (1, 2, 2)), 3),
}
every_plan = pytest.mark.parametrize("facts", PLANS.values(), ids=PLANS)


def method_of(facts: PlanFacts = PLANS["2d"], **settings) -> SimCLR:
    return SimCLR(settings_for(SimCLR, facts, {"num_epochs": 240, **settings}), facts)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Settings and views


@pytest.mark.parametrize(
    ("facts", "view", "batch"),
    [
        (PLANS["2d"], (40, 48), 64),
        (PLANS["3d"], (24, 24, 32), 32),
        (PLANS["anisotropic"], (5, 32, 32), 32),
        (PlanFacts((128,) * 3, 2, (1.0,) * 3, ((1,) * 3, *((2,) * 3,) * 5), 1), (96,) * 3, 32),
        # 2.25 strides.
        (PlanFacts((96,) * 2, 2, (1.0,) * 2, ((1,) * 2, *((2,) * 2,) * 5), 1), (64,) * 2, 64),
    ],
)
def test_views_are_three_quarters_of_the_patch_in_multiples_of_the_stride(facts, view, batch):
    settings = method_of(facts).settings
    assert (settings.view_size, settings.batch_size) == (view, batch)


@every_plan
def test_two_views_overlap_and_differ(facts):
    settings = method_of(facts).settings
    for seed in range(10):
        size = tuple(2 * s for s in facts.patch_size)
        drawn = (
            method_of(facts)
            .recipe()
            .draw(size, Channels.unmeasured(facts.num_channels), seeded(seed))
        )
        first, second = drawn.must_vary
        assert first.iou(second) >= settings.min_iou - 1e-9
        assert drawn.views[0].corruption != drawn.views[1].corruption
        assert drawn.views[0].place.deformation != drawn.views[1].place.deformation
    image = torch.randn(facts.num_channels, *size, generator=seeded(4))
    made = drawn.prepared().make(image[(slice(None), *drawn.region.slices)])
    assert made["views"].shape == (2, facts.num_channels, *settings.view_size)
    assert not torch.equal(*made["views"])


def test_nothing_moves_inside_a_view_and_nothing_is_cut_out():
    drawn = method_of().recipe().draw((96, 128), Channels.unmeasured(2), seeded())
    for view in drawn.views:
        assert view.corruption.swaps == view.corruption.cut_outs == ()
        assert max(view.corruption.noise_stds) > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"view_size": [25, 32]}, "multiple of the total stride"),
        ({"view_scale": [2.0, 1.0]}, r'"view_scale" must be \[lowest, highest\]'),
        ({"temperature": 0.0}, '"temperature" must be greater than 0'),
        ({"batch_size": 1}, '"batch_size"'),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        method_of(**given)


# The loss


def a_step(batch_size: int = 4, same: bool = False):
    method = method_of(batch_size=batch_size, hidden_size=12, embedding_size=6)
    torch.manual_seed(0)
    network = shaken(method.build(planned_network(input_channels=2))).double()
    views = random_images(2, batch_size, 2, 24, 32, dtype=torch.float64)
    if same:
        views[1] = views[0]
    return method, network, {"views": views}


@torch.no_grad()
def test_the_loss_is_the_contrast_of_projections_of_all_stages():
    method, network, batch = a_step()
    found = evaluate(network, batch, method.objective(network, 0.5, seeded()), None)
    maps = network.backbone.encoder(batch["views"].flatten(0, 1))
    pooled = torch.cat([m.mean(dim=(2, 3)) for m in reversed(maps)], dim=1).view(2, 4, -1)
    z = torch.nn.functional.normalize(network.projector(pooled).flatten(0, 1), dim=1)
    logits = z @ z.T / 0.5
    total = 0.0
    for i in range(8):
        others = torch.cat([logits[i, :i], logits[i, i + 1 :]])
        total += float(others.logsumexp(0) - logits[i, (i + 4) % 8]) / 8
    assert float(found["contrast"]) == pytest.approx(total, rel=1e-9)


def test_the_validation_adds_the_state_of_the_representation():
    method, network, batch = a_step(same=True)
    found = evaluate(network, batch, method.objective(network, None, seeded()), None)
    # Both views are the same image.
    assert float(found["cosine_matching"]) == pytest.approx(1)
    assert float(found["retrieval"]) == 1
    assert float(found["cosine_other"]) < 1 and float(found["feature_spread_level_3"]) > 0


def test_the_loss_is_said_relative_to_that_of_images_that_are_all_alike():
    method = method_of(batch_size=8)
    assert method.settings.all_alike == pytest.approx(2.7081, abs=1e-4)
    found = method.summarised({"contrast": math.log(15) / 2})
    assert found["contrast_relative"] == pytest.approx(0.5)
    assert method.summarised({"loss": math.nan}) == {"loss": math.nan}


# Warnings


def logged(epochs: int, contrast: float, retrieval: float = 0.8, spread: float = 0.1) -> dict:
    values = {
        "epoch_end_timestamps": list(range(epochs)),
        "lrs": [1e-3] * epochs,
        "val_contrast": [contrast] * epochs,
        "val_retrieval": [retrieval] * epochs,
    }
    return values | {f"val_feature_spread_level_{n}": [spread] * epochs for n in range(4)}


CHANCE = math.log(63)


@pytest.mark.parametrize(
    ("values", "kinds", "words"),
    [
        (logged(100, 2.3), [], ""),
        (logged(12, CHANCE), ["the contrast on a plateau"], r"constant answer \(4.143\)"),
        (logged(90, 3.5), ["the contrast on a plateau"], "not fallen for 80 epochs"),
        (logged(12, 3.5, 0.03), ["comparison at chance"], "3 % of the views"),
        (logged(3, 2.3, spread=1e-5), ["collapse"], "level 0, 1, 2, 3"),
    ],
)
def test_what_goes_wrong_is_named_with_a_remedy(values, kinds, words):
    found = method_of(batch_size=32).warnings(values)
    assert list(found) == kinds
    for text in found.values():
        assert re.search(words, text) and '"batch_size"' in text


def test_a_small_batch_is_said_before_the_first_epoch():
    assert "small batch" in method_of(batch_size=4).remarks()
    assert method_of(batch_size=8).remarks() == {}


def test_pictures_are_the_two_views():
    method, network, batch = a_step(batch_size=2)
    drawn = method.recipe().draw((96, 128), Channels.unmeasured(2), seeded())
    views = {"views": batch["views"][:, :1]}
    pictures = method.pictures(network, drawn, views)
    assert [column.title for column in pictures.columns] == ["first view", "second view"]
    for column, view in zip(pictures.columns, views["views"][:, 0], strict=True):
        assert torch.equal(column.image, view)
    assert pictures.box == drawn.must_vary[0]
