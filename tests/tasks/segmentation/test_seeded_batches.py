"""Paired trainings: equal seeds share all that chance decides, whatever the number of workers."""

import os
import random
from itertools import islice

import numpy as np
import pytest
import torch
from batchgenerators.dataloading.data_loader import SlimDataLoaderBase
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.settings.environment import WORKERS_VARIABLE, environment_with
from nnunetv2_pcrl.tasks.segmentation.seeded_batches import seed_of, seeded_augmenter
from nnunetv2_pcrl.trainers import trainer_named as variant

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # batchgenerators ends its workers while batches are on their way.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
FINETUNE = "PCRLv2FinetuneTrainer"


class Draws(SlimDataLoaderBase):
    """A loader that gives nothing but what it draws, from every source."""

    def __init__(self):
        super().__init__(None, 1)

    def generate_train_batch(self):
        return {"data": torch.tensor([random.random(), np.random.rand(), *torch.rand(2)])}


def draws(first: int, num_workers: int, count: int, seed=(3, 0)) -> list[list[float]]:
    augmenter = seeded_augmenter(Draws(), seed, first, num_workers, pin_memory=False)
    try:
        return [batch["data"].tolist() for batch in islice(augmenter, count)]
    finally:
        if num_workers:
            augmenter._finish()


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_workers_give_the_batches_that_one_process_gives_in_their_order(num_workers):
    expected = draws(0, 0, 7)
    assert len({tuple(batch) for batch in expected}) == 7
    assert draws(0, num_workers, 7) == expected
    assert draws(4, num_workers, 3) == expected[4:]


def test_another_seed_or_stream_gives_other_batches():
    batches = [draws(0, 0, 3, seed) for seed in ((3, 0), (3, 1), (4, 0))]
    assert len({tuple(batch) for found in batches for batch in found}) == 9


def test_what_others_draw_is_as_if_no_batch_had_been_drawn():
    def others():
        return [random.random(), np.random.rand(), float(torch.rand(1))]

    def seed():
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    seed()
    expected = others()
    seed()
    draws(0, 0, 2)
    assert others() == expected


def test_seeds_of_several_numbers_are_not_their_sums():
    assert seed_of(0, 1) != seed_of(1, 0)
    assert seed_of(2, 5) == seed_of(2, 5)


@pytest.mark.parametrize("before", [None, "5"])
def test_the_number_of_workers_is_set_back(monkeypatch, before):
    variable = "nnUNet_n_proc_DA"
    monkeypatch.delenv(variable, raising=False)
    if before:
        monkeypatch.setenv(variable, before)
    with environment_with({WORKERS_VARIABLE: "0"}):
        assert os.environ[variable] == "0"
    assert os.environ.get(variable) == before


@pytest.fixture
def dataset(nnunet_folders, monkeypatch):
    """Five cases, and weights to start from; nnU-Net's augmentation as it is."""
    configurations = {"2d": configuration(2)}
    prepared = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", configurations)
    for number in range(5):
        prepared.add_case("2d", f"case_{number}", smooth_image((1, 3, 20, 20), number))
    trainer = prepared.trainer(variant(f"{FINETUNE}_fromScratch"), "2d")
    trainer.initialize()
    weights = nnunet_folders / "weights.pth"
    torch.save({"network_weights": trainer.network.state_dict()}, weights)
    monkeypatch.setenv("nnUNet_pcrl_weights", str(weights))
    return prepared


def started(dataset, monkeypatch, name: str, num_workers: int, epoch: int = 0):
    """A training that has done everything up to the first step of an epoch."""
    monkeypatch.setenv("nnUNet_n_proc_DA", str(num_workers))
    trainer = dataset.trainer(variant(name), "2d")
    trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 3, 2
    trainer.current_epoch = epoch
    trainer.on_train_start()
    return trainer


def batches(trainer, count: int = 3) -> list:
    """Everything in the next batches of training and validation."""
    return [
        (list(batch["keys"]), batch["data"], *batch["target"])
        for loader in (trainer.dataloader_train, trainer.dataloader_val)
        for batch in islice(loader, count)
    ]


def end(trainer) -> None:
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        if hasattr(loader, "_finish"):
            loader._finish()


def are_equal(one: list, other: list) -> bool:
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def test_a_fine_tuning_and_its_twin_share_batches_and_new_layers_and_nothing_else(
    dataset, monkeypatch
):
    twins = {}
    for name, num_workers in ((f"{FINETUNE}_seed3", 0), (f"{FINETUNE}_fromScratch_seed3", 2)):
        # What was drawn before means nothing.
        torch.rand(num_workers + 1)
        trainer = started(dataset, monkeypatch, name, num_workers)
        twins[name] = trainer.network.state_dict(), batches(trainer)
        end(trainer)
    (tuned, first), (scratch, second) = twins.values()
    assert are_equal(first, second)
    new = [name for name in tuned if name.startswith("decoder.") and ".encoder." not in name]
    assert any(".seg_layers." in name for name in new)
    for name in new:
        assert torch.equal(tuned[name], scratch[name]), name
    loaded = "encoder.stages.0.0.convs.0.conv.weight"
    assert not torch.equal(tuned[loaded], scratch[loaded])


def test_other_seeds_share_nothing(dataset, monkeypatch):
    one, other = (
        started(dataset, monkeypatch, f"{FINETUNE}_fromScratch_seed{seed}", 0) for seed in (1, 2)
    )
    assert not are_equal(batches(one), batches(other))
    for name, value in one.network.state_dict().items():
        if name.endswith("conv.weight"):
            assert not torch.equal(value, other.network.state_dict()[name]), name


def test_a_training_that_goes_on_takes_the_batches_that_come_next(dataset, monkeypatch):
    whole = started(dataset, monkeypatch, f"{FINETUNE}_seed3", 0)
    training = [batch["data"] for batch in islice(whole.dataloader_train, 6)]
    validation = [batch["data"] for batch in islice(whole.dataloader_val, 4)]
    resumed = started(dataset, monkeypatch, f"{FINETUNE}_seed3", 2, epoch=1)
    for loader, expected in (
        (resumed.dataloader_train, training[3:]),
        (resumed.dataloader_val, validation[2:]),
    ):
        for batch, data in zip(islice(loader, len(expected)), expected, strict=True):
            assert torch.equal(batch["data"], data)
    end(resumed)


def test_equal_seeds_train_to_equal_weights_on_the_cpu(dataset, monkeypatch):
    def trained(num_workers: int) -> dict[str, torch.Tensor]:
        trainer = started(dataset, monkeypatch, f"{FINETUNE}_seed3_1epoch", num_workers)
        trainer.on_train_epoch_start()
        for batch in islice(trainer.dataloader_train, 3):
            trainer.train_step(batch)
        end(trainer)
        return trainer.network.state_dict()

    one, other = trained(0), trained(2)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_without_a_seed_everything_is_nnu_nets_own(dataset, monkeypatch):
    name = f"{FINETUNE}_fromScratch"
    trainers = [started(dataset, monkeypatch, name, 0) for _ in range(2)]
    assert not are_equal(*(batches(trainer) for trainer in trainers))
