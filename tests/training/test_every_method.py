"""What every method owes a person: exact resume, weights that are used, a report."""

import math
from pathlib import Path

import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.methods.mae.method import MAE
from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.registry import METHODS
from nnunetv2_pcrl.monitoring.report import REPORT_NAME
from nnunetv2_pcrl.trainers import trainer_named

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = {
    "batch_size": 4,
    "num_epochs": 2,
    "num_iterations_per_epoch": 2,
    "num_val_iterations_per_epoch": 1,
    "initial_lr": 0.01,
}


@pytest.fixture
def dataset(nnunet_folders):
    """Four labelled 2D cases."""
    configurations = {"2d": configuration(2, nnunetv2_pcrl={"pretraining": SETTINGS})}
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", configurations)
    for number in range(4):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 4, 24, 24), number))
    return dataset


class Killed(BaseException):
    """Ends a training as SIGKILL would, as far as files are concerned."""


def kill_after_the_first_epoch(trainer) -> None:
    on_epoch_start = trainer.on_epoch_start

    def die_or_begin():
        if trainer.current_epoch == 1:
            raise Killed
        on_epoch_start()

    trainer.on_epoch_start = die_or_begin
    with pytest.raises(Killed):
        trainer.run_training()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "variant"),
    # A variant with a network of its own.
    [*((method, "") for method in METHODS), (MAE, "_densified")],
    ids=lambda of: of if isinstance(of, str) else of.about.name,
)
def test_a_pretraining_is_resumed_exactly_and_its_weights_are_fine_tuned(
    dataset, monkeypatch, method: type[Method], variant: str
):
    kind = trainer_named(f"{method.about.name}PretrainTrainer{variant}")
    whole = dataset.trainer(kind, "2d")
    # Pictures are drawn by the resumed run alone: they take most of the time.
    with monkeypatch.context() as patch:
        patch.setattr(kind, "plot_progress", lambda trainer: None)
        whole.run_training()
        expected = {name: value.clone() for name, value in whole.network.state_dict().items()}
        folder = Path(whole.output_folder)
        portable = (folder / "pretrained_weights.pth").read_bytes()
        kill_after_the_first_epoch(dataset.trainer(kind, "2d"))
    resumed = dataset.trainer(kind, "2d", resume=True)
    resumed.load_checkpoint(str(folder / "checkpoint_latest.pth"))
    assert resumed.current_epoch == 1
    resumed.run_training()
    resumed.perform_actual_validation()

    state = resumed.network.state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name
    assert (folder / "pretrained_weights.pth").read_bytes() == portable
    assert (folder / "progress.png").stat().st_size > 0
    assert method.about.title in (folder / REPORT_NAME).read_text(encoding="utf-8")
    log = "".join(file.read_text() for file in folder.glob("training_log*"))
    assert "failed and may be missing" not in log

    finetuner = trainer_named(f"{method.about.name}FinetuneTrainer{variant}")
    finetuning = dataset.trainer(finetuner, "2d")
    finetuning.on_train_start()
    weights = torch.load(folder / "pretrained_weights.pth", weights_only=True)["network_weights"]
    for name, value in finetuning.network.encoder.named_parameters():
        assert torch.equal(value, weights[f"encoder.{name}"]), name
    finetuning.on_train_epoch_start()
    loss = finetuning.train_step(next(finetuning.dataloader_train))["loss"]
    assert math.isfinite(loss)
    finetuning.on_train_end()
