"""Settings of fine-tuning: picked out of a section that pretraining shares."""

import dataclasses

import pytest

from nnunetv2_pcrl.planning.finetune_settings import FinetuneSettings
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


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FinetuneSettings().transfer = "encoder"
