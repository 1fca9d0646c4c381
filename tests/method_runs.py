"""Short trainings of any method through its trainer, on a small preprocessed data set."""

from pathlib import Path

import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.training.ssl_trainer import SSLTrainer

SHORT = {
    "batch_size": 3,
    "num_epochs": 2,
    "num_iterations_per_epoch": 2,
    "num_val_iterations_per_epoch": 1,
    "initial_lr": 0.01,
    "pictures_every": 1,
    "probe_every": 0,
}


def small_dataset(root: Path, method: type[Method], **settings) -> PreparedDataset:
    """Six cases of one channel with a 3D and a 2D configuration."""
    section = {"nnunetv2_pcrl": {method.about.section: {**SHORT, **settings}}}
    configurations = {
        "3d_fullres": configuration(3, **section),
        "2d": configuration(2, **section),
    }
    prepared = PreparedDataset(root / "nnUNet_preprocessed", configurations)
    for name in configurations:
        for number in range(6):
            prepared.add_case(name, f"case_{number}", smooth_image((1, 20, 22, 18), number))
    return prepared


def trained(dataset: PreparedDataset, trainer_class: type, name: str) -> SSLTrainer:
    """A finished training."""
    trainer = dataset.trainer(trainer_class, name, fold=0)
    trainer.run_training()
    return trainer


def resumed(
    dataset: PreparedDataset, trainer_class: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> SSLTrainer:
    """The same training, stopped before its second epoch and gone on with from its checkpoint."""
    first = dataset.trainer(trainer_class, name)
    # The same split in another folder.
    first.fold = 0
    start_epoch = first.on_epoch_start

    def stop_before_the_second_epoch():
        if first.current_epoch == 1:
            raise StopIteration
        start_epoch()

    monkeypatch.setattr(first, "on_epoch_start", stop_before_the_second_epoch)
    with pytest.raises(StopIteration):
        first.run_training()
    second = dataset.trainer(trainer_class, name, resume=True)
    second.fold = 0
    second.load_checkpoint(str(Path(second.output_folder) / "checkpoint_latest.pth"))
    assert second.current_epoch == 1
    second.run_training()
    return second


def assert_equal_states(one: SSLTrainer, other: SSLTrainer) -> None:
    """Weights, teachers, queues and all, bit for bit, and the losses."""
    states = one.network.state_dict(), other.network.state_dict()
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
    for key in ("train_losses", "val_losses"):
        logged = [t.logger.get_value(key, step=None) for t in (one, other)]
        assert logged[0] == logged[1]
