import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

pytestmark = pytest.mark.slow

CT, MR = "Dataset901_DemoCT", "Dataset902_DemoMR"
PLANS = "nnUNetPlansSmall"


@pytest.fixture(scope="module")
def pretrained_ct(generated):
    """Weights of a pretraining of the CT set by nnU-Net's command."""
    generated.train(901, "3d_fullres", 0, "PCRLv2PretrainTrainer_2epochs", fresh=True)
    folder = generated.result(CT, "PCRLv2PretrainTrainer_2epochs", "3d_fullres", 0)
    return folder / "pretrained_weights.pth"


def predict(generated, number: int, name: str, trainer: str, configuration: str) -> np.ndarray:
    """Predicts the single test image; its label map, which must have the image's geometry."""
    output = generated.results / f"predicted_{number}_{configuration}"
    images = generated.raw / name / "imagesTs"
    command = ("-i", images, "-o", output, "-d", number, "-c", configuration, "-f", 0)
    more = ("-tr", trainer, "-p", "nnUNetPlansSmall", "-device", "cpu", "-npp", 1, "-nps", 1)
    generated.run("nnUNetv2_predict", *command, *more)
    (file,) = output.glob("*.nii.gz")
    prediction = SimpleITK.ReadImage(str(file))
    image = SimpleITK.ReadImage(str(next(images.glob("*_0000.nii.gz"))))
    assert prediction.GetSize() == image.GetSize()
    assert prediction.GetSpacing() == pytest.approx(image.GetSpacing())
    return SimpleITK.GetArrayFromImage(prediction)


def test_ct_goes_from_pretraining_to_prediction_with_stock_commands(generated, pretrained_ct):
    text = generated.train(901, "3d_fullres", 0, "PCRLv2FinetuneTrainer_1epoch")
    assert str(pretrained_ct) in text and "come from the file" in text
    folder = generated.result(CT, "PCRLv2FinetuneTrainer_1epoch", "3d_fullres", 0)
    summary = json.loads((folder / "validation" / "summary.json").read_text())
    assert 0 <= summary["foreground_mean"]["Dice"] <= 1
    assert (folder / "transfer_report.json").is_file()
    assert (folder / "validation_cases.png").is_file()

    # Resuming, validating and predicting work without the weights file.
    hidden = pretrained_ct.rename(pretrained_ct.with_suffix(".hidden"))
    try:
        generated.train(901, "3d_fullres", 0, "PCRLv2FinetuneTrainer_1epoch", "--val")
        generated.train(901, "3d_fullres", 0, "PCRLv2FinetuneTrainer_1epoch", "--c")
        labels = predict(generated, 901, CT, "PCRLv2FinetuneTrainer_1epoch", "3d_fullres")
    finally:
        hidden.rename(pretrained_ct)
    assert set(np.unique(labels)) <= {0, 1, 2}


def test_the_stock_trainer_starts_from_the_same_file(generated, pretrained_ct):
    # ShortTrainer comes from a folder of the user's own, which stays in force beside ours.
    text = generated.train(
        901, "3d_fullres", 0, "ShortTrainer", "-pretrained_weights", pretrained_ct
    )
    assert "Loading pretrained weights from file" in text and "Mean Validation Dice" in text


def test_a_finished_pretraining_answers_to_resume_and_validation(generated, pretrained_ct):
    before = pretrained_ct.stat().st_mtime
    for flag in ("--val", "--c"):
        text = generated.train(901, "3d_fullres", 0, "PCRLv2PretrainTrainer_2epochs", flag)
        assert "Pretraining complete" in text
    assert pretrained_ct.stat().st_mtime >= before
    assert not (pretrained_ct.parent / "validation").exists()


def test_four_channels_and_nested_regions_train_in_2d(generated):
    generated.train(902, "2d", "all", "PCRLv2PretrainTrainer_1epoch")
    text = generated.train(902, "2d", 0, "ShortFinetuneTrainer")
    assert "fold_all/pretrained_weights.pth" in text
    labels = predict(generated, 902, MR, "ShortFinetuneTrainer", "2d")
    assert set(np.unique(labels)) <= {0, 1, 2, 3}


def test_a_missing_pretraining_ends_the_command_before_the_first_step(generated):
    text = generated.train(902, "3d_fullres", 0, "PCRLv2FinetuneTrainer", check=False)
    assert "No pretrained weights were found" in text and "Epoch 0" not in text
    assert "ERROR: " in text and "Traceback" not in text


@pytest.mark.parametrize("configuration", ["3d_fullres", "2d"])
@pytest.mark.parametrize(
    ("number", "name"), [(9, "Dataset009_SpleenCrop"), (60, "Dataset060_MSLesion2mm")]
)
def test_real_images_pretrain_for_a_few_steps(real, number, name, configuration):
    if number == 9:
        text = real.train(9, configuration, "all", "PCRLv2PretrainTrainer_1epoch", check=False)
        assert "at least 2 usable cases" in text
        plans = real.preprocessed / name / "nnUNetPlansSmall.json"
        content = json.loads(plans.read_text())
        content["configurations"][configuration]["nnunetv2_pcrl"]["pretraining"]["min_cases"] = 1
        plans.write_text(json.dumps(content))
    real.train(number, configuration, "all", "PCRLv2PretrainTrainer_1epoch")
    folder = real.result(name, "PCRLv2PretrainTrainer_1epoch", configuration, "all")
    assert (Path(folder) / "pretrained_weights.pth").is_file()


def test_two_processes_fine_tune_by_the_launcher(generated, pretrained_ct):
    text = generated.run(
        "torchrun",
        *("--standalone", "--nproc_per_node", 2, "-m", "nnunetv2_pcrl.launch"),
        *(901, "3d_fullres", 1, "-tr", "ShortFinetuneTrainer", "-p", "nnUNetPlansSmall"),
        *("-device", "cpu"),
    )
    assert "come from the file" in text and "Mean Validation Dice" in text
    folder = generated.result(CT, "ShortFinetuneTrainer", "3d_fullres", 1)
    assert (folder / "checkpoint_final.pth").is_file()


def test_mr_without_labels_pretrains_the_network_of_a_planned_ct_set(
    experiment, generated, shared_data
):
    images = shared_data("Dataset004_Hippocampus") / "imagesTr"
    folder = experiment.raw / "Dataset004_Bare" / "imagesTr"
    folder.mkdir(parents=True)
    for image in sorted(images.glob("*.nii.gz"))[:3]:
        (folder / image.name).symlink_to(image)
    content = {"channel_names": {"0": "MRI"}, "file_ending": ".nii.gz"}
    (folder.parent / "dataset.json").write_text(json.dumps(content))
    target = generated.preprocessed / "Dataset901_DemoCT" / f"{PLANS}.json"
    command = ("-d", 4, "-c", "3d_fullres", "--plans_from", target, "--plans_name", PLANS)
    experiment.run_ours("plan_and_preprocess", *command, "-np", 1)
    text = experiment.train(4, "3d_fullres", "all", "PCRLv2PretrainTrainer_1epoch")
    assert (
        f"nnUNetv2_train Dataset901_DemoCT 3d_fullres FOLD -tr PCRLv2FinetuneTrainer -p {PLANS}"
        in text
    )
    result = experiment.result(
        "Dataset004_Bare", "PCRLv2PretrainTrainer_1epoch", "3d_fullres", "all"
    )
    weights = torch.load(result / "pretrained_weights.pth", weights_only=True)
    assert weights["planned_for"] == {"dataset_name": "Dataset901_DemoCT", "plans_name": PLANS}
    # The target's fine-tuning takes all of the encoder.
    generated.environment["nnUNet_pcrl_weights"] = str(result / "pretrained_weights.pth")
    try:
        text = generated.train(901, "3d_fullres", 1, "ShortFinetuneTrainer")
    finally:
        del generated.environment["nnUNet_pcrl_weights"]
    assert f"another data set, Dataset004_Bare, for {PLANS} of this one" in text
    report = generated.result("Dataset901_DemoCT", "ShortFinetuneTrainer", "3d_fullres", 1)
    groups = json.loads((report / "transfer_report.json").read_text())["groups"]
    stages = [row for group, row in groups.items() if group.startswith("encoder")]
    assert stages and all(row["adapted"] == row["left"] == [0, 0] for row in stages)
