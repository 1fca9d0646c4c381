"""What follows from the plan, and what is refused."""

import pytest

from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.methods.voco.method import VoCo
from nnunetv2_pcrl.methods.voco.settings import VoCoSettings

TWICE = ((1,) * 3, *((2,) * 3,) * 5)
THIN = ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))
ISOTROPIC = PlanFacts((128, 128, 128), 2, (1.0,) * 3, TWICE, 1)
ANISOTROPIC = PlanFacts((20, 256, 224), 2, (5.0, 0.6, 0.6), THIN, 1)
IN_2D = PlanFacts((512, 384), 12, (0.7, 0.7), ((1, 1), *((2, 2),) * 6), 1)
# Thin along the last axis, for whatever reason.
LAST = PlanFacts((128, 128, 32), 2, (1.0,) * 3, ((1,) * 3, *((2, 2, 1),) * 2, (2, 2, 2)), 1)


def settings(facts: PlanFacts, words=(), **given) -> VoCoSettings:
    return settings_for(VoCo, facts, given, words)


@pytest.mark.parametrize(
    ("facts", "grid", "cell", "view", "batch"),
    [
        (ISOTROPIC, (1, 3, 3), (96, 96, 96), (64, 64, 64), 8),
        (ANISOTROPIC, (1, 3, 3), (15, 192, 168), (12, 128, 112), 8),
        (IN_2D, (3, 3), (384, 288), (256, 192), 16),
        (LAST, (3, 3, 1), (96, 96, 24), (64, 64, 16), 8),
    ],
)
def test_grid_and_sizes_follow_from_the_plan(facts, grid, cell, view, batch):
    found = settings(facts)
    assert (found.grid, found.cell_size, found.view_size) == (grid, cell, view)
    assert found.batch_size == batch


@pytest.mark.parametrize("facts", [ISOTROPIC, ANISOTROPIC, IN_2D, LAST])
def test_views_are_multiples_of_the_total_stride_two_at_least(facts):
    for size, stride in zip(settings(facts).view_size, facts.total_stride, strict=True):
        assert size % stride == 0 and size >= 2 * stride


def test_the_conferences_form_is_a_variant_that_the_plans_file_may_change():
    found = settings(ANISOTROPIC, ["cvpr"])
    assert (found.form, found.grid, found.inter_weight) == ("cvpr", (1, 4, 4), 0.0)
    assert (found.embedding_size, found.feature_dropout) == (2048, 0.0)
    assert settings(ANISOTROPIC, ["cvpr"], embedding_size=64).embedding_size == 64


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grid": [1, 1, 1]}, r'"grid" .* two base crops at least, got \[1, 1, 1\]'),
        ({"grid": [0, 3, 3]}, '"grid" must be positive'),
        ({"grid": [3, 3]}, '"grid" must be 3 positive integers'),
        ({"cell_size": [0, 8, 8]}, '"cell_size" must be positive'),
        ({"cell_size": [8]}, '"cell_size" must be 3 positive integers'),
        ({"view_size": [63, 64, 64]}, "multiple of the total stride"),
        ({"view_size": [32, 32, 32]}, "single voxel at the bottleneck"),
        ({"batch_size": 1}, '"batch_size" is 1: enlarge it, or set "inter_weight" to 0'),
        ({"form": "cvpr"}, 'no inter term: set "inter_weight" to 0'),
        ({"intra_weight": 0.0, "inter_weight": 0.0}, "nothing to learn"),
        ({"form": "miccai"}, '"form" must be'),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(given, message):
    with pytest.raises(ValueError, match=message):
        VoCo(settings(ISOTROPIC, **given), ISOTROPIC)


def test_one_image_is_enough_without_the_inter_term():
    assert settings(ISOTROPIC, batch_size=1, inter_weight=0.0).batch_size == 1


@pytest.mark.parametrize(
    ("reader", "given", "is_said"),
    [
        ("SimpleITKIO", {}, True),
        ("NibabelIO", {}, True),
        ("SimpleITKIO", {"inter_weight": 0.0}, False),
        ("SimpleITKIOWithReorient", {}, False),
        ("NaturalImage2DIO", {}, False),
    ],
)
def test_images_that_are_left_as_they_lie_are_remarked_on(reader, given, is_said):
    facts = PlanFacts((128,) * 3, 2, (1.0,) * 3, TWICE, 1, reader=reader)
    remarks = VoCo(settings(facts, **given), facts).remarks()
    assert list(remarks) == (["orientation"] if is_said else [])
    if is_said:
        assert f'"overwrite_image_reader_writer": "{reader}WithReorient"' in remarks["orientation"]
