"""PCRLv2 computes what it computed before the methods had rooms: views, three steps, validation.

The numbers are those of the commit before, to which the move was equal to the last bit on the same
machine; other processors round otherwise.
"""

import pytest
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.trainers import PCRLv2PretrainTrainer

SETTINGS = {
    "batch_size": 4,
    "num_epochs": 2,
    "num_iterations_per_epoch": 3,
    "num_val_iterations_per_epoch": 1,
    "num_local": 2,
    "initial_lr": 0.01,
    "pictures_every": 0,
    "probe_every": 0,
}
# Views: sums of target, global and local views, and the sum of squares of the global ones.
GOLDEN = {
    "3d_fullres": {
        "views": [22.4444, 1368.73, -69.0319, 3642.37],
        "losses": [
            {
                "loss": 2.50821,
                "restoration": 1.65255,
                "level_restoration": 0.797496,
                "global_comparison": -0.0198619,
                "local_comparison": 0.0780224,
                "target_variance": 0.708278,
                "gradient_norm": 11.0105,
            },
            {
                "loss": 2.24233,
                "restoration": 1.44438,
                "level_restoration": 0.708234,
                "global_comparison": 0.0360653,
                "local_comparison": 0.0536563,
                "target_variance": 0.612677,
                "gradient_norm": 12.284,
            },
            {
                "loss": 2.46495,
                "restoration": 1.38067,
                "level_restoration": 0.744537,
                "global_comparison": 0.276939,
                "local_comparison": 0.0627956,
                "target_variance": 0.619863,
                "gradient_norm": 15.5343,
            },
        ],
        "validation_loss": 2.15954,
    },
    "2d": {
        "views": [157.657, 343.246, 210.953, 684.23],
        "losses": [
            {
                "loss": 1.95538,
                "restoration": 1.16228,
                "level_restoration": 0.896957,
                "global_comparison": -0.0776173,
                "local_comparison": -0.0262486,
                "target_variance": 0.852572,
                "gradient_norm": 7.21403,
            },
            {
                "loss": 1.41827,
                "restoration": 0.782198,
                "level_restoration": 0.878743,
                "global_comparison": -0.240277,
                "local_comparison": -0.00238816,
                "target_variance": 0.56782,
                "gradient_norm": 8.38456,
            },
            {
                "loss": 2.03164,
                "restoration": 0.922758,
                "level_restoration": 1.15016,
                "global_comparison": -0.054463,
                "local_comparison": 0.013188,
                "target_variance": 0.791698,
                "gradient_norm": 11.8467,
            },
        ],
        "validation_loss": 1.45028,
    },
}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", GOLDEN)
def test_views_of_one_seed_losses_of_three_steps_and_the_validation_are_what_they_were(
    nnunet_folders, monkeypatch, name
):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    dim = 2 if name == "2d" else 3
    plan = configuration(dim, nnunetv2_pcrl={"pcrlv2": SETTINGS})
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", {name: plan}, 1)
    for number in range(6):
        dataset.add_case(name, f"case_{number}", smooth_image((1, 20, 22, 18), number))
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
