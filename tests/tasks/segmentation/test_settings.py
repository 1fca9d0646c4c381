"""Settings of fine-tuning: picked out of a section that pretraining shares."""

import dataclasses

import pytest

from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings, settings_of_variant
from nnunetv2_pcrl.weights.transfer import TRANSFER_MODES


def test_an_empty_section_searches_for_weights_and_takes_a_known_default():
    settings = FinetuneSettings.from_section({})
    assert settings == FinetuneSettings()
    assert settings.weights is None
    assert settings.transfer in TRANSFER_MODES


@pytest.mark.parametrize("transfer", TRANSFER_MODES)
def test_own_settings_are_picked_and_those_of_pretraining_left(transfer):
    section = {"weights": "/a/b.pth", "transfer": transfer, "batch_size": 8, "num_epochs": 2}
    settings = FinetuneSettings.from_section(section)
    assert settings == FinetuneSettings(weights="/a/b.pth", transfer=transfer)
    assert section["batch_size"] == 8


@pytest.mark.parametrize("transfer", ["everything", "", None, 1, ["encoder"]])
def test_an_unknown_transfer_is_refused_with_the_known_ones(transfer):
    with pytest.raises(ValueError, match=f'"transfer" must be one of {", ".join(TRANSFER_MODES)}'):
        FinetuneSettings.from_section({"transfer": transfer})


@pytest.mark.parametrize("weights", [1, True, ["a.pth"], {"path": "a.pth"}])
def test_weights_that_are_no_path_are_refused_with_their_value(weights):
    with pytest.raises(ValueError, match='"weights" must be the path of a file, got'):
        FinetuneSettings.from_section({"weights": weights})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"other_dimension": 1}, '"other_dimension" must be true or false, got 1'),
        ({"from_scratch": "yes"}, "\"from_scratch\" must be true or false, got 'yes'"),
        ({"transductive": 0}, '"transductive" must be true or false, got 0'),
        ({"pretraining": "mine"}, "\"pretraining\" must be one of authors, .* got 'mine'"),
        ({"finetune_lr": 0}, '"finetune_lr" must be above 0 and at most 1, got 0'),
        ({"finetune_lr": "1e-3"}, "above 0 and at most 1, got '1e-3'"),
        ({"warmup_epochs": -1}, '"warmup_epochs" must be a whole number of epochs, got -1'),
        ({"warmup_new_epochs": 1.5}, '"warmup_new_epochs" must be a whole number'),
        ({"freeze_encoder_epochs": True}, '"freeze_encoder_epochs" must be a whole number'),
    ],
)
def test_values_that_do_not_fit_are_refused_with_their_value(section, message):
    with pytest.raises(ValueError, match=message):
        FinetuneSettings.from_section(section)


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
        ("comparisonOnly", {"pretraining": "comparisonOnly"}),
        ("authors", {"pretraining": "authors"}),
        ("transductive", {"transductive": True}),
    ],
)
def test_words_of_variants_stand_for_settings(word, settings):
    assert settings_of_variant(word) == settings
    FinetuneSettings.from_section(settings)


@pytest.mark.parametrize(
    "word", ["", "warmup", "warmup0", "frozen-1", "lr", "zeroskip", "10epochs"]
)
def test_other_words_stand_for_nothing(word):
    assert settings_of_variant(word) is None


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FinetuneSettings().transfer = "encoder"
