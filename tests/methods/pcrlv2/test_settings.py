"""Settings of pretraining: derived from the plan by hand-checked rules, and refused if wrong."""

import json
import math

import pytest

from nnunetv2_pcrl.methods.pcrlv2.method import PCRLv2
from nnunetv2_pcrl.methods.pcrlv2.settings import (
    PCRLv2Settings,
    global_view_size,
    local_view_size,
)
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import settings_for

PLAN_2D = ((512, 512), (128, 128))
PLAN_3D = ((128, 128, 128), (32, 32, 32))
ANISOTROPIC = ((14, 256, 256), (1, 64, 64))
PLANS = [
    pytest.param(PLAN_2D, id="2d"),
    pytest.param(PLAN_3D, id="3d"),
    pytest.param(ANISOTROPIC, id="anisotropic"),
]


def derive_settings(patch, stride, section=None) -> PCRLv2Settings:
    """Settings that a network of this patch and total stride accepts."""
    facts = PlanFacts(patch, 2, (1.0,) * len(patch), ((1,) * len(patch), stride), 1)
    settings = settings_for(PCRLv2, facts, section or {})
    PCRLv2(settings, facts)
    return settings


# Sizes of the views


@pytest.mark.parametrize(
    ("patch", "stride", "global_size", "local_size"),
    [
        # 3/4 of 4 strides is 3; half of 3 is 1.5, rounded up to 2.
        ((128, 128, 128), (32, 32, 32), (96, 96, 96), (64, 64, 64)),
        # 3.75 -> 4; half is 2.
        ((160, 160, 160), (32, 32, 32), (128, 128, 128), (64, 64, 64)),
        # 10.5 -> 11 single voxels, half is 5.5 -> 6; in the plane as above.
        ((14, 256, 256), (1, 64, 64), (11, 192, 192), (6, 128, 128)),
        # 3.75 -> 4 on two axes, 3 on the last.
        ((20, 320, 256), (4, 64, 64), (16, 256, 192), (8, 128, 128)),
        # 6 -> 6, half 3; 7.5 -> 8, half 4.
        ((32, 160, 160), (4, 32, 16), (24, 128, 128), (12, 64, 64)),
        ((512, 512), (128, 128), (384, 384), (256, 256)),
        # 5.25 -> 5, half 2.5 -> 3; 3.75 -> 4, half 2.
        ((56, 40), (8, 8), (40, 32), (24, 16)),
        # 12 -> 12, half 6.
        ((512, 448), (32, 64), (384, 320), (192, 192)),
        # No more than the patch: 2 strides.
        ((64, 64, 64), (32, 32, 32), (64, 64, 64), (64, 64, 64)),
        # A patch that is no multiple of the stride: 3.125 strides hold 3.
        ((100, 100), (32, 32), (96, 96), (64, 64)),
        # A thin patch: 2.25 -> at least 3 of 3 voxels; half is 1.5 -> 2.
        ((3, 128, 128), (1, 32, 32), (3, 96, 96), (2, 64, 64)),
    ],
)
def test_view_sizes_have_hand_computed_values(patch, stride, global_size, local_size):
    settings = derive_settings(patch, stride)
    assert settings.global_size == global_size
    assert settings.local_size == local_size


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 32, 64])
@pytest.mark.parametrize("num_strides", range(1, 17))
@pytest.mark.parametrize("rest", [0, 1])
def test_view_sizes_are_the_allowed_multiples_of_the_stride_nearest_to_their_aims(
    stride, num_strides, rest
):
    patch = stride * num_strides + rest * (stride // 2)
    size = global_view_size(patch, stride)
    allowed = [stride * n for n in range(min(3, num_strides), num_strides + 1)]
    assert size in allowed
    assert abs(size - 0.75 * patch) == min(abs(a - 0.75 * patch) for a in allowed)
    local = local_view_size(size, stride)
    allowed = [stride * n for n in range(2, max(2, num_strides) + 1)]
    assert local in allowed
    assert abs(local - size / 2) == min(abs(a - size / 2) for a in allowed)


def test_local_views_are_no_larger_than_global_ones_in_planned_patches():
    # nnU-Net's planned patches hold at least four strides per axis.
    for stride in (1, 2, 8, 64):
        for num_strides in range(4, 40):
            size = global_view_size(stride * num_strides, stride)
            assert 2 * stride <= local_view_size(size, stride) < size <= stride * num_strides


# Defaults and overrides


def test_3d_settings_are_those_of_the_method():
    settings = derive_settings(*PLAN_3D)
    assert settings.num_local == 6
    assert settings.batch_size == 16
    assert settings.num_iterations_per_epoch == 100
    assert (settings.optimizer, settings.momentum, settings.weight_decay) == ("sgd", 0.9, 1e-4)
    assert (settings.global_scale, settings.local_scale) == ((1.0, 1.75), (0.5, 1.0))
    assert settings.min_iou == 0.3
    assert (settings.blur_sigma, settings.noise_std, settings.log_gamma) == (2.0, 0.25, 0.3)
    assert (settings.rotation_degrees, settings.deformation_scale) == (10.0, 0.1)
    assert settings.swapped_part > 0
    assert settings.num_cut_outs == 0


def test_2d_settings_have_cut_outs_and_jitter_instead_of_swaps():
    settings = derive_settings(*PLAN_2D)
    assert (settings.batch_size, settings.initial_lr) == (64, 1e-2)
    assert settings.swapped_part == 0
    assert (settings.num_cut_outs, settings.cut_out_part) == (3, 1 / 7)
    assert settings.contrast > 0


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 8),
        ("num_epochs", 1000),
        ("num_local", 2),
        ("initial_lr", 0.5),
        ("swapped_part", 0.4),
        ("num_cut_outs", 1),
        ("seed", 123),
        ("min_iou", 0.5),
        ("min_cases", 1),
    ],
)
def test_an_override_replaces_its_setting_and_no_other(plan, name, value):
    derived = derive_settings(*plan)
    changed = derive_settings(*plan, {name: value})
    assert getattr(changed, name) == value
    # The length follows from the cost of a step.
    length = {"num_epochs": changed.num_epochs}
    assert changed == derived.model_copy(update={name: value, **length})


def test_lists_from_the_plans_file_become_tuples():
    overrides = {
        "global_size": [64, 64, 96],
        "local_size": [32, 32, 64],
        "global_scale": [1.0, 2.0],
    }
    settings = derive_settings(*PLAN_3D, overrides)
    for name, value in overrides.items():
        assert getattr(settings, name) == tuple(value)


def test_the_local_size_follows_an_overridden_global_size():
    patch, stride = (320, 320), (32, 32)
    assert derive_settings(patch, stride).local_size == (128, 128)
    settings = derive_settings(patch, stride, {"global_size": [128, 128]})
    assert settings.local_size == (64, 64)


@pytest.mark.parametrize("plan", PLANS)
def test_plain_settings_survive_json_and_derive_the_same_settings(plan):
    settings = derive_settings(*plan, {"seed": 7, "global_scale": [1.0, 1.5]})
    plain = json.loads(json.dumps(settings.as_plain(), allow_nan=False))
    assert plain == settings.as_plain()
    assert set(plain) == PCRLv2Settings.names()
    assert derive_settings(*plan, plain) == settings


# Refusals


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"global_size": [96, 96]}, r'"global_size" must be 3 positive integers, got'),
        ({"global_size": 96}, r'"global_size" must be a valid tuple, got 96'),
        ({"global_size": [96, 96, 96.0]}, r'"global_size.2" must be a valid integer, got 96.0'),
        ({"global_size": [96, 96, 0]}, r'"global_size" must be 3 positive integers'),
        ({"local_size": [64, 64, -32]}, r'"local_size" must be 3 positive integers'),
        (
            {"global_size": [96, 96, 100]},
            r'"global_size" \[96, 96, 100\] must be a multiple of the total stride '
            r"\[32, 32, 32\] of the planned network",
        ),
        ({"local_size": [48, 64, 64]}, r'"local_size" \[48, 64, 64\] must be a multiple'),
        (
            {"local_size": [32, 32, 32]},
            r'"local_size" \[32, 32, 32\] leaves a single voxel at the bottleneck '
            r"\(total stride \[32, 32, 32\]\).*enlarge it",
        ),
        ({"global_size": [32, 32, 32]}, r'"global_size" \[32, 32, 32\] leaves a single voxel'),
        ({"global_scale": [1.5, 1.0]}, r'"global_scale" must be \[lowest, highest\].*\[1.5, 1.0\]'),
        ({"global_scale": 1.5}, r'"global_scale" must be a valid tuple, got 1.5'),
        ({"local_scale": [0.0, 1.0]}, r'"local_scale" must be \[lowest, highest\] with 0 < lowest'),
        ({"local_scale": [0.5, 0.7, 1.0]}, r'"local_scale'),
        ({"batch_size": 1}, r'"batch_size" must be greater than or equal to 2, got 1'),
        ({"num_local": 0}, r'"num_local" must be greater than or equal to 1, got 0'),
        ({"num_cut_outs": -1}, r'"num_cut_outs" must be greater than or equal to 0, got -1'),
        ({"min_iou": 0.96}, r'"min_iou" must be less than or equal to 0.95, got 0.96'),
        ({"momentum": 1.0}, r'"momentum" must be less than or equal to 0.9999, got 1.0'),
        ({"patch_part": -1}, r'"patch_part" must be greater than or equal to 0.01, got -1'),
        ({"contrast": "strong"}, r"\"contrast\" must be a valid number, got 'strong'"),
        ({"blur_sigma": None}, r'"blur_sigma" must be a valid number, got None'),
        ({"noise_std": math.nan}, r'"noise_std" must be a finite number, got nan'),
        ({"global_scale": [1.0, math.inf]}, r'"global_scale.1" must be a finite number, got inf'),
        ({"comparison_weight": -1}, r'"comparison_weight" must be greater than or equal to 0'),
        (
            {"comparison_weight": 0, "restoration_weight": 0.0},
            "both 0: there is nothing to learn",
        ),
        ({"views_at_a_time": 0}, r'"views_at_a_time" must be greater than or equal to 1, got 0'),
        ({"locl_size": [64] * 3}, r'"locl_size" \(did you mean "local_size"'),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_name_and_value(overrides, message):
    with pytest.raises(ValueError, match=message):
        derive_settings(*PLAN_3D, overrides)


def test_a_plan_whose_patch_is_one_voxel_at_the_bottleneck_is_refused():
    with pytest.raises(ValueError, match=r'"global_size" \[32, 32\] leaves a single voxel'):
        derive_settings((32, 32), (32, 32))


def test_every_setting_has_a_text_for_the_reference_page():
    assert all(field.description for field in PCRLv2Settings.model_fields.values())
