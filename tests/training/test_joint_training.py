"""Trainings on several processes agree on what happens, also when one of them is in trouble."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from prepared_dataset import PreparedDataset, configuration, smooth_image
from ranks import run_on_ranks

from nnunetv2_pcrl.trainers import PCRLv2PretrainTrainer

pytestmark = pytest.mark.usefixtures("one_thread", "no_pictures")

SETTINGS = {
    "batch_size": 4,
    "num_epochs": 2,
    "num_iterations_per_epoch": 3,
    "num_val_iterations_per_epoch": 1,
    "num_local": 2,
}


def train_on_this_rank(dataset: PreparedDataset, nan_at: tuple[int, int]) -> dict:
    """Trains with a planted NaN at a step of a rank; the final weights and the log."""
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    # As the launcher does: nnU-Net takes for granted that there are GPUs.
    trainer.device, trainer.grad_scaler = torch.device("cpu"), None
    accumulate, calls = trainer.accumulate_gradients, []

    def spoil(batch, generator, scale):
        if (dist.get_rank(), len(calls)) == nan_at:
            batch["views"]["target"][0, 0] = torch.nan
        calls.append(batch["cases"])
        return accumulate(batch, generator, scale)

    trainer.accumulate_gradients = spoil
    trainer.run_training()
    return {
        "weights": trainer.network.state_dict(),
        "cases": calls,
        "folder": trainer.output_folder,
    }


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_one_rank_is_skipped_by_all(nnunet_folders):
    dataset = PreparedDataset(
        nnunet_folders / "nnUNet_preprocessed",
        {"2d": configuration(2, nnunetv2_pcrl={"pcrlv2": SETTINGS})},
    )
    for number in range(5):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 4, 24, 24), number))
    # This one is noticed only when it is read, by whichever rank draws it.
    constant = np.zeros((1, 4, 24, 24))
    dataset.add_case("2d", "constant", constant)

    first, second = run_on_ranks(train_on_this_rank, 2, dataset, (1, 1))
    for name, values in first["weights"].items():
        assert torch.equal(values, second["weights"][name]), name
        assert torch.isfinite(values).all(), name
    (file,) = Path(first["folder"]).glob("training_log*")
    log = file.read_text()
    named = ", ".join(first["cases"][1] + second["cases"][1])
    assert "step 1 of this epoch is skipped (1 in a row). Cases: " + named in log
    assert log.count("is not finite") == 1
    assert log.count("case constant is left out") == 1
