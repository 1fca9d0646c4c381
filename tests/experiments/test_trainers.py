import pytest

from nnunetv2_pcrl.experiments.trainers import Trainer, planned_trainers

pytestmark = pytest.mark.slow

FINETUNE, PRETRAIN = "PCRLv2FinetuneTrainer", "PCRLv2PretrainTrainer"
CLASSIFY = "PCRLv2ClassificationTrainer"


def plan(*names, section=None, classification=None, **options) -> list[Trainer]:
    sections = {"finetune": section or {}, "classification": classification or {}}
    return list(planned_trainers(names, sections, **options))


def test_every_trainer_gets_the_weights_of_its_own_pretraining():
    names = ("nnUNetTrainer", FINETUNE, f"{FINETUNE}_fromScratch", f"{FINETUNE}_zeroSkip")
    assert plan(*names, f"{FINETUNE}_heSkip_restorationOnly") == [
        Trainer("nnUNetTrainer"),
        Trainer(FINETUNE, PRETRAIN),
        Trainer(f"{FINETUNE}_fromScratch"),
        Trainer(f"{FINETUNE}_zeroSkip", PRETRAIN),
        Trainer(f"{FINETUNE}_heSkip_restorationOnly", f"{PRETRAIN}_restorationOnly"),
    ]


def test_trainers_of_this_package_take_a_seed_unless_they_have_one():
    trainers = plan("nnUNetTrainer", FINETUNE, f"{CLASSIFY}_seed3", budget=5)
    assert [trainer.name_with(7) for trainer in trainers] == [
        "nnUNetTrainer_5epochs",
        f"{FINETUNE}_seed7_5epochs",
        f"{CLASSIFY}_seed3_5epochs",
    ]


def test_a_seed_stands_at_one_place_of_a_name_whoever_adds_it():
    options = {"budget": 5, "transductive": True}
    name = f"{FINETUNE}_transductive_seed7_5epochs"
    assert [trainer.name for trainer in plan(FINETUNE, seeds=[7], **options)] == [name]
    assert [trainer.name_with(7) for trainer in plan(FINETUNE, **options)] == [name]


def test_lengths_of_trainings_and_pretrainings_come_into_their_names():
    trainers = plan("nnUNetTrainer", f"{FINETUNE}_authors", budget=1, pretrain_epochs=20)
    assert trainers == [
        Trainer("nnUNetTrainer_1epoch"),
        Trainer(f"{FINETUNE}_authors_1epoch", f"{PRETRAIN}_authors_20epochs"),
    ]
    assert [trainer.num_epochs for trainer in trainers] == [1, 1]
    assert [t.num_epochs for t in plan("nnUNetTrainer", f"{FINETUNE}_7epochs_heSkip")] == [None, 7]


def test_transductive_is_a_word_of_the_name_so_that_results_do_not_mix():
    assert plan("nnUNetTrainer", FINETUNE, budget=5, transductive=True) == [
        Trainer("nnUNetTrainer_5epochs"),
        Trainer(f"{FINETUNE}_transductive_5epochs", PRETRAIN, True),
    ]
    named = [Trainer(f"{FINETUNE}_transductive", PRETRAIN, True)]
    assert plan(f"{FINETUNE}_transductive") == named
    assert plan(f"{FINETUNE}_transductive", transductive=True) == named


def test_what_the_plans_say_counts_where_the_name_says_nothing():
    trainers = plan(FINETUNE, f"{FINETUNE}_comparisonOnly", section={"transductive": True})
    assert [t.pretraining for t in trainers] == [PRETRAIN, f"{PRETRAIN}_comparisonOnly"]
    assert all(t.transductive for t in trainers)
    assert plan(FINETUNE, section={"from_scratch": True}) == [Trainer(FINETUNE)]


def test_classifications_start_from_the_same_pretrainings():
    names = (f"{CLASSIFY}_fromScratch", f"{CLASSIFY}_linearProbe", f"{CLASSIFY}_authors")
    assert plan(*names, budget=5) == [
        Trainer(f"{CLASSIFY}_fromScratch_5epochs"),
        Trainer(f"{CLASSIFY}_linearProbe_5epochs", PRETRAIN),
        Trainer(f"{CLASSIFY}_authors_5epochs", f"{PRETRAIN}_authors"),
    ]
    assert plan(CLASSIFY, transductive=True) == [
        Trainer(f"{CLASSIFY}_transductive", PRETRAIN, True)
    ]
    # What the plans say of one task is nothing to the other.
    assert plan(CLASSIFY, FINETUNE, classification={"from_scratch": True}) == [
        Trainer(CLASSIFY),
        Trainer(FINETUNE, PRETRAIN),
    ]


def test_a_trainer_named_twice_counts_once():
    assert plan("nnUNetTrainer", "nnUNetTrainer") == [Trainer("nnUNetTrainer")]
    assert len(plan(FINETUNE, f"{FINETUNE}_transductive", transductive=True)) == 1


def test_a_length_that_nnunet_does_not_have_is_answered_by_those_it_has():
    with pytest.raises(
        ValueError, match="no trainer nnUNetTrainer_7epochs.* 1, 5, 10, 20, 50, 100"
    ):
        plan(FINETUNE, "nnUNetTrainer", budget=7)


def test_a_misspelled_trainer_is_answered_by_the_nearest():
    with pytest.raises(ValueError, match="no trainer nnUNetTrainr. Did you mean nnUNetTrainer"):
        plan("nnUNetTrainr")
    with pytest.raises(ValueError, match=f"{FINETUNE}_fromScrach. Did you mean .*{FINETUNE}"):
        plan(f"{FINETUNE}_fromScrach")
    with pytest.raises(ValueError, match=r"no trainer nnUNetTrainer\(. Did you mean nnUNetTrainer"):
        plan("nnUNetTrainer(")


def test_a_pretraining_in_the_grid_and_two_lengths_are_refused():
    with pytest.raises(ValueError, match=f"{PRETRAIN} is a pretraining"):
        plan(PRETRAIN)
    with pytest.raises(ValueError, match="nnUNetTrainer_5epochs has a length"):
        plan("nnUNetTrainer_5epochs", budget=5)


def test_nodule_trainings_read_their_own_section_of_the_plans():
    names = ("PCRLv2NoduleTrainer", "MAENoduleTrainer")
    assert list(planned_trainers(names, {"nodules": {}}, budget=5)) == [
        Trainer("PCRLv2NoduleTrainer_5epochs", PRETRAIN),
        Trainer("MAENoduleTrainer_5epochs", "MAEPretrainTrainer"),
    ]
    sections = {"classification": {}, "nodules": {"from_scratch": True}}
    assert list(planned_trainers(names[:1], sections)) == [Trainer(names[0])]
    with pytest.raises(ValueError, match='"uncertain"'):
        planned_trainers(names, {"nodules": {"uncertain": "ones"}})
