"""Settings of pretraining variants by name."""

import pytest

from nnunetv2_pcrl.methods.pcrlv2.settings import derive_settings
from nnunetv2_pcrl.methods.pcrlv2.variants import authors_settings, settings_of_variant

PLAN = {2: ((192, 192), (32, 32), (1.0, 1.0)), 3: ((128,) * 3, (32,) * 3, (1.0,) * 3)}


@pytest.mark.parametrize(
    ("word", "settings"),
    [
        ("restorationOnly", {"comparison_weight": 0}),
        ("comparisonOnly", {"restoration_weight": 0}),
        ("seed0", {"seed": 0}),
        ("seed12", {"seed": 12}),
        ("lr2en3", {"initial_lr": 0.002}),
    ],
)
def test_words_stand_for_settings(word, settings):
    assert settings_of_variant(word) == settings
    for plan in PLAN.values():
        assert derive_settings(*plan, settings).as_plain().items() >= settings.items()


@pytest.mark.parametrize("word", ["", "restoration", "seed", "seed-1", "lr0en3", "authors2"])
def test_other_words_stand_for_nothing(word):
    assert settings_of_variant(word) is None


@pytest.mark.parametrize("num_axes, batch_size, lr", [(2, 64, 1e-2), (3, 32, 1e-3)])
def test_the_authors_settings_are_theirs_and_fit_any_plan(num_axes, batch_size, lr):
    settings = derive_settings(*PLAN[num_axes], authors_settings(num_axes))
    assert (settings.batch_size, settings.initial_lr) == (batch_size, lr)
    assert (settings.num_epochs, settings.momentum, settings.weight_decay) == (240, 0.9, 1e-4)
    # Crops of 8 to 32 voxels for local views of 16 in 3D.
    assert settings.local_scale == ((0.5, 2.0) if num_axes == 3 else (0.5, 1.3))


def test_the_authors_settings_can_be_changed_without_changing_them():
    authors_settings(3)["batch_size"] = 1
    assert authors_settings(3)["batch_size"] == 32
