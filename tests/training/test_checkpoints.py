"""Checkpoints that a training cannot go on from: the file, the reason and the remedy."""

import numpy as np
import pytest
import torch
from planned_networks import planned_network

from nnunetv2_pcrl.training.checkpoints import changes_of, check_can_go_on, read_checkpoint

TRAINER = "PCRLv2FinetuneTrainer"
FINAL, LATEST, BEST = (f"checkpoint_{name}.pth" for name in ("final", "latest", "best"))


def optimizer_of(network: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), 0.1)


def content(epoch: int = 3, **changes) -> dict:
    network = planned_network(**changes)
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": optimizer_of(network).state_dict(),
        "grad_scaler_state": None,
        "logging": {"train_losses": [np.float64(0.5)]},
        "_best_ema": np.float32(0.25),
        "current_epoch": epoch,
        "epoch_outputs": [{"loss": 0.5}],
        "init_args": {"fold": 0, "device": torch.device("cpu")},
        "trainer_name": TRAINER,
        "settings": {"seed": 1},
    }


def test_a_whole_checkpoint_is_read_as_it_was_written(tmp_path):
    torch.save(content(), tmp_path / LATEST)
    checkpoint = read_checkpoint(str(tmp_path / LATEST))
    assert checkpoint["epoch_outputs"] == [{"loss": 0.5}]
    assert checkpoint["settings"] == {"seed": 1}
    assert checkpoint["current_epoch"] == 3
    network = planned_network()
    state = optimizer_of(network).state_dict()
    check_can_go_on("file", checkpoint, TRAINER, network.state_dict(), state)
    check_can_go_on("file", checkpoint, f"{TRAINER}_10epochs", network.state_dict(), state)


def test_entries_that_older_checkpoints_lack_have_defaults(tmp_path):
    older = content()
    for name in ("epoch_outputs", "settings", "grad_scaler_state", "trainer_name"):
        del older[name]
    torch.save(older, tmp_path / LATEST)
    checkpoint = read_checkpoint(tmp_path / LATEST)
    assert [*checkpoint["epoch_outputs"]] == []
    assert checkpoint["settings"] is None and checkpoint["trainer_name"] is None
    network = planned_network()
    check_can_go_on(
        "file", checkpoint, TRAINER, network.state_dict(), optimizer_of(network).state_dict()
    )
    assert changes_of(checkpoint["settings"], {"seed": 1}) == [
        "the checkpoint does not say its settings, which may differ from those of now"
    ]
    assert changes_of({"seed": 0}, {"seed": 1}) == ["setting seed was 0 and is now 1"]
    assert changes_of({"seed": 1}, {"seed": 1}) == []


@pytest.mark.parametrize("share", [0, 0.3, 0.999])
@pytest.mark.parametrize(
    ("damaged", "whole", "remedy"),
    [
        (LATEST, BEST, f"{BEST} of epoch 3 is whole: rename it to {LATEST}, and go on with --c"),
        (FINAL, LATEST, f"{LATEST} of epoch 3 is whole: remove {FINAL}, and go on with --c"),
        (BEST, None, "No whole checkpoint lies beside it: train anew without --c"),
    ],
)
def test_a_truncated_checkpoint_is_named_with_the_whole_one_beside_it(
    tmp_path, damaged, whole, remedy, share
):
    torch.save(content(), tmp_path / damaged)
    if whole:
        torch.save(content(), tmp_path / whole)
    data = (tmp_path / damaged).read_bytes()
    (tmp_path / damaged).write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="is not a complete PyTorch checkpoint") as error:
        read_checkpoint(tmp_path / damaged)
    assert str(error.value).startswith(f"{tmp_path / damaged} (")
    assert str(error.value).endswith(f"something else. {remedy}")


def test_a_damaged_checkpoint_is_no_remedy_for_another(tmp_path):
    for name in (LATEST, BEST):
        (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(ValueError, match="No whole checkpoint lies beside it"):
        read_checkpoint(tmp_path / LATEST)


@pytest.mark.parametrize(
    ("foreign", "missing"),
    [
        ({"network_weights": {"a": torch.ones(1)}}, "no optimizer_state, no current_epoch"),
        ({**content(), "logging": None}, "holds no logging"),
        ({**content(), "current_epoch": "3"}, "holds no current_epoch"),
        ([1], "holds no network_weights"),
        ("text", "holds no network_weights"),
    ],
    ids=["weights", "no log", "an epoch that is a text", "a list", "a text"],
)
def test_a_file_of_something_else_is_told_by_what_it_lacks(tmp_path, foreign, missing):
    torch.save(foreign, tmp_path / LATEST)
    torch.save(content(7), tmp_path / BEST)
    with pytest.raises(ValueError, match=f"no checkpoint of a training.*{missing}.*epoch 7"):
        read_checkpoint(tmp_path / LATEST)


def test_nothing_in_a_checkpoint_is_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return (tmp_path / "it ran").touch, ()

    torch.save({**content(), "extra": Runs()}, tmp_path / LATEST)
    with pytest.raises(ValueError, match="could run code when read"):
        read_checkpoint(tmp_path / LATEST)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize(
    ("stored", "trainer", "network", "groups", "message"),
    [
        (
            {"trainer_name": "nnUNetTrainer"},
            TRAINER,
            {},
            1,
            f"checkpoint of nnUNetTrainer, and this is {TRAINER}: go on with -tr nnUNetTrainer,",
        ),
        (
            {},
            TRAINER,
            {"features_per_stage": [2, 8, 16, 16]},
            1,
            r"tensors have another shape \(e.g. \S+: file \(4, .*, network \(2, .*plans.json",
        ),
        (
            {},
            TRAINER,
            {"architecture": "ResidualEncoderUNet"},
            1,
            r"tensors are not in the file \(e.g. encoder.stem.*; \d+ tensors are in the file only",
        ),
        (
            {},
            TRAINER,
            {},
            2,
            r"holds an optimiser with \[\d+\] parameters .* make one with \[1, \d+\]: go on with",
        ),
    ],
    ids=["trainer", "features", "architecture", "optimiser"],
)
def test_a_checkpoint_of_another_training_is_told_by_what_differs(
    stored, trainer, network, groups, message
):
    planned = planned_network(**network)
    parameters = list(planned.parameters())
    split = [{"params": parameters[:1]}, {"params": parameters[1:]}]
    optimizer = torch.optim.SGD(parameters if groups == 1 else split, 0.1)
    with pytest.raises(ValueError, match=message) as error:
        check_can_go_on(
            "FILE",
            {**content(), **stored},
            trainer,
            planned.state_dict(),
            optimizer.state_dict(),
        )
    assert str(error.value).startswith("FILE ") and "\n" not in str(error.value)
