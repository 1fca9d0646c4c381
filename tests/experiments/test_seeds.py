import pytest

from nnunetv2_pcrl.experiments.seeds import split_seed, with_seed


@pytest.mark.parametrize(
    ("name", "without", "seed"),
    [
        ("PCRLv2FinetuneTrainer_seed3_100epochs", "PCRLv2FinetuneTrainer_100epochs", 3),
        ("Trainer_fromScratch_seed12", "Trainer_fromScratch", 12),
        ("Trainer_1epoch_seed0", "Trainer_1epoch", 0),
        ("Trainer_100epochs", "Trainer_100epochs", None),
        ("Trainer_seedling_seeded3", "Trainer_seedling_seeded3", None),
    ],
)
def test_a_seed_is_taken_out_of_a_name_wherever_it_stands(name, without, seed):
    assert split_seed(name) == (without, seed)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Trainer_100epochs", "Trainer_seed3_100epochs"),
        ("Trainer_fromScratch_1epoch", "Trainer_fromScratch_seed3_1epoch"),
        ("Trainer_fromScratch", "Trainer_fromScratch_seed3"),
    ],
)
def test_a_seed_stands_before_the_length(name, expected):
    assert with_seed(name, 3) == expected
    assert split_seed(expected) == (name, 3)
