"""The conference's form in training, whose teacher is a whole network."""

from pathlib import Path

import pytest
from method_runs import assert_equal_states, resumed, small_dataset, trained

from nnunetv2_pcrl.methods.voco.method import VoCo
from nnunetv2_pcrl.trainers import trainer_named
from nnunetv2_pcrl.weights.reading import read_weights

pytestmark = pytest.mark.usefixtures("one_thread", "no_pictures")


@pytest.mark.slow
def test_a_resumed_training_equals_one_in_one_go_its_teachers_too(nnunet_folders, monkeypatch):
    dataset = small_dataset(nnunet_folders, VoCo, embedding_size=16)
    trainer_class = trainer_named("VoCoPretrainTrainer_cvpr")
    whole = trained(dataset, trainer_class, "2d")
    assert_equal_states(whole, resumed(dataset, trainer_class, "2d", monkeypatch))
    names = set(whole.network.state_dict())
    assert any(name.startswith("teacher_backbone.") for name in names)
    content = read_weights(Path(whole.output_folder) / "pretrained_weights.pth")
    assert content["decoder"] == "none"
    assert (content["method"], content["variants"]) == ("VoCo", ["cvpr"])
    assert not [name for name in content["network_weights"] if "teacher" in name]
