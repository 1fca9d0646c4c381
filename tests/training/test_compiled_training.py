"""torch.compile in a training: nnU-Net's switch, the same numbers, files that are exchangeable."""

from pathlib import Path

import pytest
import torch
from method_runs import assert_equal_states, small_dataset
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_pcrl.methods.mae.method import MAE
from nnunetv2_pcrl.networks import compiled
from nnunetv2_pcrl.networks.compiled import stages_of
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.training import ssl_trainer
from nnunetv2_pcrl.training.pretrain_trainer import PretrainTrainer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def dataset(nnunet_folders):
    return small_dataset(nnunet_folders, MAE)


def trainer_of(dataset, resume: bool = False):
    return dataset.trainer(trainer_named("MAEPretrainTrainer"), "2d", resume=resume)


def compiled_stages(trainer) -> int:
    stages = stages_of(trainer.network.backbone)
    return sum(stage._compiled_call_impl is not None for stage in stages)


def test_nothing_is_compiled_on_a_cpu_whatever_the_switch_says_as_in_nnunet(dataset, monkeypatch):
    monkeypatch.setenv("nnUNet_compile", "true")
    trainer = trainer_of(dataset)
    trainer.initialize()
    assert compiled_stages(trainer) == 0
    log = "".join(file.read_text() for file in Path(trainer.output_folder).glob("training_log*"))
    assert "torch.compile disabled because device is CPU" in log


def test_stages_are_compiled_only_where_somebody_asks_for_it(dataset, monkeypatch):
    monkeypatch.setattr(nnUNetTrainer, "_do_i_compile", lambda trainer: True)
    asked = []
    monkeypatch.setattr(ssl_trainer, "compile_stages", asked.append)
    for value, wanted in ((None, 0), ("f", 0), ("1", 1)):
        if value:
            monkeypatch.setenv("nnUNet_compile", value)
        trainer = trainer_of(dataset)
        trainer.initialize()
        assert len(asked) == wanted


@pytest.mark.slow
def test_a_compiled_training_goes_on_from_one_that_is_not_and_ends_like_it(dataset, monkeypatch):
    monkeypatch.setattr(PretrainTrainer, "plot_progress", lambda trainer: None)
    whole = trainer_of(dataset)
    whole.run_training()
    folder = Path(whole.output_folder)
    portable = (folder / "pretrained_weights.pth").read_bytes()

    class Killed(BaseException):
        """Ends a training after its first epoch."""

    def begin(trainer):
        if trainer.current_epoch == 1:
            raise Killed
        on_epoch_start(trainer)

    on_epoch_start = nnUNetTrainer.on_epoch_start
    with monkeypatch.context() as patch:
        patch.setattr(nnUNetTrainer, "on_epoch_start", begin)
        with pytest.raises(Killed):
            trainer_of(dataset).run_training()
    # As on a GPU, but for the backend: the graphs run as they are.
    monkeypatch.setattr(nnUNetTrainer, "_do_i_compile", lambda trainer: True)
    monkeypatch.setenv("nnUNet_compile", "true")
    monkeypatch.setattr(
        ssl_trainer,
        "compile_stages",
        lambda network: compiled.compile_stages(network, backend="eager"),
    )
    resumed = trainer_of(dataset, resume=True)
    resumed.load_checkpoint(str(folder / "checkpoint_latest.pth"))
    assert compiled_stages(resumed) == len(stages_of(resumed.network.backbone))
    resumed.run_training()
    assert_equal_states(resumed, whole)
    assert (folder / "pretrained_weights.pth").read_bytes() == portable
    stored = torch.load(folder / "checkpoint_final.pth", weights_only=False)
    assert stored["network_weights"].keys() == whole.network.state_dict().keys()
