import re

import pytest

from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings, derive_settings
from nnunetv2_pcrl.monitoring.health import COLLAPSE_BELOW, health_warnings

HEALTHY = {"feature_spread": 0.1, "effective_rank": 5.0}


def settings(**overrides) -> PCRLv2Settings:
    return derive_settings((64,) * 3, (8,) * 3, (1.0,) * 3, {"batch_size": 16, **overrides})


def logged(epochs=10, error=0.5, **per_level) -> dict[str, list]:
    values = {"val_restoration": [error] * epochs, "val_restoration_error": [error] * epochs}
    for name, healthy in HEALTHY.items():
        for level in range(3):
            value = per_level.get(name, {}).get(level, healthy)
            values[f"val_{name}_level_{level}"] = [healthy] * (epochs - 1) + [value]
    return values


def test_a_healthy_run_is_not_warned_about():
    assert health_warnings(logged(), 3, settings()) == {}


@pytest.mark.parametrize(
    ("numbers", "batch_size", "kind", "words"),
    [
        ({"feature_spread": {1: COLLAPSE_BELOW / 2}}, 16, "collapse", 'level 1: .*"batch_size"'),
        ({"effective_rank": {0: 1.2, 2: 1.9}}, 16, "narrow", 'level 0, 2 .*"initial_lr"'),
        ({}, 4, "small batch", 'batch of 4 .*Set "batch_size"'),
        ({"error": 0.97}, 16, "stuck at the mean", 'is 0.97 of .*"initial_lr"'),
    ],
)
def test_what_goes_wrong_is_named_with_a_remedy(numbers, batch_size, kind, words):
    found = health_warnings(logged(**numbers), 3, settings(batch_size=batch_size))
    assert list(found) == [kind]
    assert re.search(words, found[kind])


def test_restorations_may_be_at_the_mean_in_the_first_epochs():
    assert health_warnings(logged(epochs=5, error=1.2), 3, settings()) == {}
    assert "stuck at the mean" in health_warnings(logged(epochs=6, error=1.2), 3, settings())


def test_what_the_loss_leaves_out_is_not_warned_about():
    bad = logged(error=1.3, feature_spread={0: 0.0}, effective_rank={1: 1.0})
    everything = health_warnings(bad, 3, settings(batch_size=4))
    assert set(everything) == {"collapse", "narrow", "small batch", "stuck at the mean"}
    restoration = settings(batch_size=4, comparison_weight=0.0)
    assert list(health_warnings(bad, 3, restoration)) == ["stuck at the mean"]
    comparison = settings(batch_size=4, restoration_weight=0.0)
    assert set(health_warnings(bad, 3, comparison)) == set(everything) - {"stuck at the mean"}
