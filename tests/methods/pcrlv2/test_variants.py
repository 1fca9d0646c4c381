"""Settings of PCRLv2's variants by name."""

import pytest

from nnunetv2_pcrl.methods.pcrlv2.method import PCRLv2
from nnunetv2_pcrl.methods.pcrlv2.variants import authors_settings
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import is_variant, settings_for

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
    # Crops of 8 to 32 voxels for local views of 16 in 3D.
    assert settings.local_scale == ((0.5, 2.0) if num_axes == 3 else (0.5, 1.3))


def test_the_plans_file_may_change_the_authors_settings_and_ablations_may_change_both():
    assert settings_of("authors", section={"batch_size": 8}).batch_size == 8
    both = settings_of("authors", "restorationOnly", section={"comparison_weight": 2.0})
    assert (both.batch_size, both.comparison_weight) == (32, 0.0)


def test_the_authors_settings_can_be_changed_without_changing_them():
    authors_settings(PLANS[3])["batch_size"] = 1
    assert authors_settings(PLANS[3])["batch_size"] == 32
