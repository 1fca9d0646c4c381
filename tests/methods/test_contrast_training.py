"""Trainings of the encoder alone: resumed to the bit, teachers and all, and their files."""

from pathlib import Path

import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = {
    "batch_size": 3,
    "num_epochs": 2,
    "num_iterations_per_epoch": 2,
    "num_val_iterations_per_epoch": 1,
    "pictures_every": 1,
    "probe_every": 0,
    "embedding_size": 16,
}
NAMES = ("SimCLRPretrainTrainer", "VoCoPretrainTrainer", "VoCoPretrainTrainer_cvpr")


def dataset_of(root: Path, name: str) -> PreparedDataset:
    section = name.split("Pretrain")[0].lower()
    configurations = {"2d": configuration(2, nnunetv2_pcrl={section: SETTINGS})}
    dataset = PreparedDataset(root / "nnUNet_preprocessed", configurations)
    for number in range(5):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 3, 24, 24), number))
    return dataset


class InterruptionError(Exception):
    pass


def stop_before_epoch(trainer, epoch: int) -> None:
    start = trainer.on_epoch_start

    def start_or_stop():
        if trainer.current_epoch == epoch:
            raise InterruptionError
        start()

    trainer.on_epoch_start = start_or_stop


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_training_equals_one_in_one_go(nnunet_folders, name):
    dataset = dataset_of(nnunet_folders, name)
    whole = dataset.trainer(trainer_named(name), "2d", fold=0)
    whole.run_training()
    whole.perform_actual_validation()
    begun = dataset.trainer(trainer_named(name), "2d")
    begun.fold, begun.save_every = 0, 1
    stop_before_epoch(begun, 1)
    with pytest.raises(InterruptionError):
        begun.run_training()
    resumed = dataset.trainer(trainer_named(name), "2d", resume=True)
    resumed.fold = 0
    resumed.load_checkpoint(str(Path(resumed.output_folder) / "checkpoint_latest.pth"))
    resumed.run_training()

    expected = whole.network.state_dict()
    assert any("teacher" in key for key in expected) == name.startswith("VoCo")
    for key, value in resumed.network.state_dict().items():
        assert torch.equal(value, expected[key]), key
    for key in ("train_losses", "val_losses", "lrs"):
        assert resumed.logger.get_value(key, None) == whole.logger.get_value(key, None)
    folder = Path(whole.output_folder)
    content = read_weights(folder / "pretrained_weights.pth")
    assert content["decoder"] == "none" and content["method"] == name.split("Pretrain")[0]
    assert (folder / "pictures.png").stat().st_size > 0
    assert (folder / "report.html").stat().st_size > 0
