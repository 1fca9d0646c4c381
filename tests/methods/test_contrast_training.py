"""Trainings of the encoder alone: resumed to the bit, teachers and all, and their files."""

from pathlib import Path

import pytest
from method_runs import assert_equal_states, resumed, small_dataset, trained

from nnunetv2_pcrl.methods.simclr import SimCLR
from nnunetv2_pcrl.methods.voco.method import VoCo
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("method", "variant"), [(SimCLR, ""), (VoCo, ""), (VoCo, "_cvpr")], ids=str
)
def test_a_resumed_training_equals_one_in_one_go(nnunet_folders, monkeypatch, method, variant):
    dataset = small_dataset(nnunet_folders, method, embedding_size=16)
    trainer_class = trainer_named(f"{method.about.name}PretrainTrainer{variant}")
    whole = trained(dataset, trainer_class, "2d")
    assert_equal_states(whole, resumed(dataset, trainer_class, "2d", monkeypatch))
    assert any("teacher" in name for name in whole.network.state_dict()) == (method is VoCo)
    content = read_weights(Path(whole.output_folder) / "pretrained_weights.pth")
    assert content["decoder"] == "none" and content["method"] == method.about.name
    assert (Path(whole.output_folder) / "pictures.png").stat().st_size > 0
