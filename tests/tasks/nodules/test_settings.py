"""Settings of nodule trainings that follow from the plan."""

from types import SimpleNamespace

import pytest

from nnunetv2_pcrl.tasks.nodules.settings import NoduleSettings

SPACING = (1.25, 0.7, 0.7)


def plan(architecture="PlainConvUNet", patch_size=(96, 160, 160), batch_size=2, spacing=SPACING):
    return SimpleNamespace(
        batch_size=batch_size,
        patch_size=patch_size,
        spacing=spacing,
        network_arch_class_name=f"package.unet.{architecture}",
    )


@pytest.mark.parametrize(
    ("of_plan", "settings", "expected"),
    [
        # Cubes are 32 x 57 x 57 voxels: 94 of them have the voxels of four patches.
        (plan(), {}, 93),
        (plan("ResidualEncoderUNet"), {}, 45),
        (plan(), {"negatives_per_positive": 3}, 92),
        (plan(batch_size=9), {}, 96),
        (plan(patch_size=(16, 32, 32)), {}, 3),
        (plan(), {"batch_size": 12}, 12),
    ],
)
def test_a_batch_has_as_many_voxels_as_that_of_a_classification_in_whole_groups(
    of_plan, settings, expected
):
    assert NoduleSettings(**settings).images_per_step(of_plan) == expected


def test_a_flat_configuration_is_refused_with_those_that_are_not():
    with pytest.raises(ValueError, match="3d_fullres or 3d_lowres"):
        NoduleSettings().images_per_step(plan(patch_size=(64, 64), spacing=(1.0, 1.0)))


def test_a_trainers_name_says_what_it_says_in_classification_but_windows():
    assert NoduleSettings.of_word("linearProbe") == {"linear_probe": True}
    assert NoduleSettings.of_word("windows") is None
