"""Images without labels, from a folder to weights."""

import pytest

pytestmark = pytest.mark.slow


def test_radiographs_in_a_folder_pretrain_in_2d(experiment, shared_data):
    images = shared_data("chest_xray_2d")
    experiment.run_ours("from_folder", images, "-d", 14, "--name", "Xray")
    text = experiment.run_ours("plan_and_preprocess", "-d", 14, "-np", 1)
    assert "2 of 2 cases are ready" in text
    experiment.shrink(14, "nnUNetPlans_unlabelled")
    experiment.train(14, "2d", "all", "PCRLv2PretrainTrainer_1epoch")
    result = experiment.result("Dataset014_Xray", "PCRLv2PretrainTrainer_1epoch", "2d", "all")
    assert (result / "pretrained_weights.pth").is_file()
