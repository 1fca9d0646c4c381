"""Settings of fine-tuning: what they may be, and what words of trainers stand for."""

import pytest

from nnunetv2_pcrl.tasks.segmentation.settings import (
    FinetuneSettings,
    finetune_section,
    settings_of_variant,
)
from nnunetv2_pcrl.weights.transfer import TRANSFER_MODES


def test_an_empty_section_searches_for_weights_and_takes_a_known_default():
    settings = FinetuneSettings.from_section({})
    assert settings == FinetuneSettings()
    assert settings.weights is None
    assert settings.transfer in TRANSFER_MODES


@pytest.mark.parametrize("transfer", TRANSFER_MODES)
def test_every_mode_of_transfer_is_a_setting(transfer):
    settings = FinetuneSettings.from_section({"weights": "/a/b.pth", "transfer": transfer})
    assert (settings.weights, settings.transfer) == ("/a/b.pth", transfer)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        *(
            ({"transfer": v}, "\"transfer\" must be 'encoder', ")
            for v in ("all", "", None, 1, ["a"])
        ),
        *(({"weights": v}, '"weights" must be a valid string, got') for v in (1, True, {"a": "b"})),
        ({"other_dimension": 1}, '"other_dimension" must be a valid boolean, got 1'),
        ({"from_scratch": "yes"}, "\"from_scratch\" must be a valid boolean, got 'yes'"),
        ({"transductive": 0}, '"transductive" must be a valid boolean, got 0'),
        ({"finetune_lr": 0}, '"finetune_lr" must be greater than 0, got 0'),
        ({"finetune_lr": 2}, '"finetune_lr" must be less than or equal to 1, got 2'),
        ({"finetune_lr": "1e-3"}, "\"finetune_lr\" must be a valid number, got '1e-3'"),
        ({"finetune_lr": float("nan")}, '"finetune_lr" must be .*, got nan'),
        ({"warmup_epochs": -1}, '"warmup_epochs" must be greater than or equal to 0, got -1'),
        ({"warmup_new_epochs": 1.5}, '"warmup_new_epochs" must be a valid integer, got 1.5'),
        ({"freeze_encoder_epochs": True}, '"freeze_encoder_epochs" must be a valid integer'),
        ({"seed": -1}, '"seed" must be greater than or equal to 0, got -1'),
        ({"seed": 10**30}, '"seed" must be less than or equal to 2147483647'),
        ({"sawtooth": True, "warmup_epochs": 3}, '"sawtooth" brings its own .*"warmup_epochs": 3'),
        ({"weight": "x.pth"}, r'"weight" \(did you mean "weights"\?\)'),
    ],
    ids=str,
)
def test_values_that_do_not_fit_are_refused_in_one_line_with_the_section(section, message):
    with pytest.raises(ValueError, match=message) as error:
        FinetuneSettings.from_section(section)
    assert "finetune" in str(error.value) and "\n" not in str(error.value)


def test_the_section_is_read_beside_those_of_the_methods():
    sections = {"finetune": {"transfer": "encoder"}, "pcrlv2": {"batch_size": 8}}
    assert finetune_section({"nnunetv2_pcrl": sections}) == {"transfer": "encoder"}
    assert finetune_section({}) == {}
    with pytest.raises(ValueError, match='"finetun" .did you mean "finetune"'):
        finetune_section({"nnunetv2_pcrl": {"finetun": {}}})
    with pytest.raises(ValueError, match="the settings of the plans file moved"):
        finetune_section({"pcrlv2": {"weights": "a.pth"}})


def test_every_setting_has_a_text_for_the_reference():
    assert all(field.description for field in FinetuneSettings.model_fields.values())


@pytest.mark.parametrize(
    ("section", "rate"),
    [
        ({}, None),
        ({"finetune_lr": 0.003}, 0.003),
        ({"sawtooth": True}, 0.001),
        ({"sawtooth": True, "finetune_lr": 0.003}, 0.003),
    ],
)
def test_the_peak_rate_is_that_of_the_schedule_unless_one_is_given(section, rate):
    assert FinetuneSettings.from_section(section).peak_lr == rate


@pytest.mark.parametrize(
    ("word", "settings"),
    [
        ("encoder", {"transfer": "encoder"}),
        ("heSkip", {"transfer": "encoder_decoder"}),
        ("zeroSkip", {"transfer": "encoder_decoder_zero_skip"}),
        ("warmup10", {"warmup_new_epochs": 10, "warmup_epochs": 10}),
        ("frozen25", {"freeze_encoder_epochs": 25}),
        ("lr3en3", {"finetune_lr": 0.003}),
        ("fromScratch", {"from_scratch": True}),
        ("transductive", {"transductive": True}),
        ("sawtooth", {"sawtooth": True}),
        ("seed3", {"seed": 3}),
    ],
)
def test_words_of_variants_stand_for_settings(word, settings):
    assert settings_of_variant(word) == settings
    FinetuneSettings.from_section(settings)


@pytest.mark.parametrize(
    "word",
    ["", "warmup", "warmup0", "frozen-1", "lr", "zeroskip", "10epochs", "seed", "sawtooth2"],
)
def test_other_words_stand_for_nothing(word):
    assert settings_of_variant(word) is None


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        FinetuneSettings().transfer = "encoder"
