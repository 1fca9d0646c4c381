"""PCRLv2 computes what it computed before the methods had rooms: views, three steps, validation.

In units of 1, with terms of weight 1 and without gamma, which are what has changed since. The
numbers are those of the commits before, to which the changes were equal to the last bit on the same
machine; other processors round otherwise.
"""

import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.trainers import PCRLv2PretrainTrainer
from nnunetv2_pcrl.training import pretrain_trainer
from nnunetv2_pcrl.views.channels import Channels

SETTINGS = {
    "batch_size": 4,
    "num_epochs": 2,
    "num_iterations_per_epoch": 3,
    "num_val_iterations_per_epoch": 1,
    "num_local": 2,
    "optimizer": "sgd",
    "initial_lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "restoration_weight": 1.0,
    "log_gamma": 0.0,
    "pictures_every": 0,
    "probe_every": 0,
}
# Views: sums of target, global and local views, and the sum of squares of the global ones.
GOLDEN = {
    "3d_fullres": {
        "views": [22.4444, 433.312, 48.3609, 3401.49],
        "losses": [
            {
                "loss": 2.52319,
                "restoration": 1.65286,
                "level_restoration": 0.796167,
                "global_comparison": -0.00727105,
                "local_comparison": 0.0814428,
                "target_variance": 0.708278,
                "gradient_norm": 12.4558,
            },
            {
                "loss": 2.06643,
                "restoration": 1.45216,
                "level_restoration": 0.70862,
                "global_comparison": -0.0968928,
                "local_comparison": 0.00253903,
                "target_variance": 0.612677,
                "gradient_norm": 9.5283,
            },
            {
                "loss": 2.34326,
                "restoration": 1.38685,
                "level_restoration": 0.74254,
                "global_comparison": 0.246436,
                "local_comparison": -0.0325672,
                "target_variance": 0.619863,
                "gradient_norm": 30.2009,
            },
        ],
        "validation_loss": 2.09895,
    },
    "2d": {
        "views": [157.657, 228.094, 205.438, 658.761],
        "losses": [
            {
                "loss": 2.05221,
                "restoration": 1.16556,
                "level_restoration": 0.875431,
                "global_comparison": -0.0180039,
                "local_comparison": 0.0292247,
                "target_variance": 0.852572,
                "gradient_norm": 5.72967,
            },
            {
                "loss": 1.48743,
                "restoration": 0.796217,
                "level_restoration": 0.89276,
                "global_comparison": -0.164601,
                "local_comparison": -0.0369498,
                "target_variance": 0.56782,
                "gradient_norm": 8.80822,
            },
            {
                "loss": 2.27376,
                "restoration": 0.928514,
                "level_restoration": 1.15953,
                "global_comparison": 0.0768609,
                "local_comparison": 0.108851,
                "target_variance": 0.791698,
                "gradient_norm": 7.4131,
            },
        ],
        "validation_loss": 1.39873,
    },
}


def large_integers() -> list[int]:
    """Two draws of PyTorch's, of a range as large as that of the noise's seeds."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 2**31, (2,), generator=generator).tolist()


@pytest.mark.skipif(
    large_integers() != [398764591, 1478610112], reason="this torch draws other large integers"
)
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", [pytest.param("3d_fullres", marks=pytest.mark.slow), "2d"])
def test_views_of_one_seed_losses_of_three_steps_and_the_validation_are_what_they_were(
    nnunet_folders, monkeypatch, name
):
    dim = 2 if name == "2d" else 3
    plan = configuration(dim, nnunetv2_pcrl={"pcrlv2": SETTINGS})
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", {name: plan}, 1)
    for number in range(6):
        dataset.add_case(name, f"case_{number}", smooth_image((1, 20, 22, 18), number))
    monkeypatch.setattr(
        pretrain_trainer, "measure_channels", lambda *_, **__: Channels.unmeasured(1)
    )
    trainer = dataset.trainer(PCRLv2PretrainTrainer, name)
    trainer.initialize()
    trainer.dataloader_train, trainer.dataloader_val = trainer.get_dataloaders()
    trainer.on_train_epoch_start()
    golden = GOLDEN[name]
    for step, expected in enumerate(golden["losses"]):
        batch = next(trainer.dataloader_train)
        if step == 0:
            target, first, local = (
                batch["views"][key].double() for key in ("target", "global_views", "local_views")
            )
            sums = [target.sum(), first.sum(), local.sum(), first.square().sum()]
            assert [float(value) for value in sums] == pytest.approx(golden["views"], rel=1e-4)
        numbers = trainer.train_step(batch)
        found = {key: numbers[key] for key in expected}
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    trainer.on_validation_epoch_start()
    loss = trainer.validation_step(next(trainer.dataloader_val))["loss"]
    assert loss == pytest.approx(golden["validation_loss"], rel=1e-3)
