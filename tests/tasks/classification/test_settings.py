"""Settings of classification, in the plans file and in trainer names."""

from types import SimpleNamespace

import pytest

from nnunetv2_pcrl.tasks.classification.settings import ClassificationSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dropot": 0.1}, 'unknown setting .*"dropot" .did you mean "dropout"'),
        ({"dropout": 1.0}, '"dropout" must be less than 1, got 1.0'),
        ({"stages": "first"}, "\"stages\" must be 'last' or 'all', got 'first'"),
        ({"batch_size": 0}, '"batch_size" must be greater than or equal to 1, got 0'),
        ({"uncertain": "one"}, "\"uncertain\" must be .*got 'one'"),
    ],
)
def test_a_setting_that_does_not_fit_is_named_with_its_value(values, message):
    with pytest.raises(ValueError, match=message):
        ClassificationSettings.from_values(values, "classification")


def test_settings_are_the_same_after_they_were_stored():
    settings = ClassificationSettings.from_values({"mirror_axes": [0, 1]}, "classification")
    assert settings.mirror_axes == (0, 1)
    stored = settings.as_plain()
    assert ClassificationSettings.from_values(stored, "classification") == settings


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("fromScratch", {"from_scratch": True}),
        ("linearProbe", {"linear_probe": True}),
        ("transductive", {"transductive": True}),
        ("allStages", {"stages": "all"}),
        ("windows", {"input": "windows"}),
        ("seed3", {"seed": 3}),
        ("lr1en3", {"initial_lr": 1e-3}),
        ("5epochs", {"num_epochs": 5}),
        ("linearprobe", None),
    ],
)
def test_words_of_trainer_names(word, expected):
    assert ClassificationSettings.of_word(word) == expected


@pytest.mark.parametrize(
    ("architecture", "given", "expected"),
    [("PlainConvUNet", None, 6), ("ResidualEncoderUNet", None, 3), ("PlainConvUNet", 5, 5)],
)
def test_a_plain_encoder_takes_twice_the_planned_batch(architecture, given, expected):
    plan = SimpleNamespace(batch_size=3, network_arch_class_name=f"package.unet.{architecture}")
    assert ClassificationSettings(batch_size=given).images_per_step(plan) == expected
