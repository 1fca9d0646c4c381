"""Names of trainers that contradict themselves are no trainers."""

import pytest

from nnunetv2_pcrl.trainers import BASES, trainer_named


@pytest.mark.parametrize("role", BASES)
@pytest.mark.parametrize("words", ["5epochs_10epochs", "seed1_seed2", "lr1en3_lr2en3"])
def test_two_words_for_one_setting_are_no_trainer(role, words):
    first, second = words.split("_")
    assert trainer_named(f"PCRLv2{role}Trainer_{first}") is not None
    assert trainer_named(f"PCRLv2{role}Trainer_{second}_authors") is not None
    assert trainer_named(f"PCRLv2{role}Trainer_{words}") is None
