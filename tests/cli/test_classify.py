"""nnUNetv2_pcrl_predict_classes and nnUNetv2_pcrl_evaluate_classes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from classified_dataset import classified_dataset
from raw_images import write_image

from nnunetv2_pcrl.cli.evaluate_classes import main as evaluate
from nnunetv2_pcrl.cli.predict_classes import main as predict
from nnunetv2_pcrl.trainers import PCRLv2ClassificationTrainer
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def dataset(nnunet_folders, no_workers):
    """Preprocessed cases that are z-scores of the raw images in imagesTr."""
    dataset = classified_dataset(
        nnunet_folders / "nnUNet_preprocessed", 3, 10, (18, 20, 24), num_iterations_per_epoch=2
    )
    folder = dataset.data_folder("3d_fullres")
    for number in range(10):
        case = PreprocessedCase(folder, f"case_{number:02d}")
        array = case.read(Box((0, 0, 0), case.image_size)).numpy()
        raw = (100 + 20 * array).astype(np.float32)
        images = nnunet_folders / "nnUNet_raw" / dataset.folder.name / "imagesTr"
        write_image(images / f"case_{number:02d}_0000.nii.gz", raw[0])
        dataset.add_case("3d_fullres", case.identifier, (raw - raw.mean()) / raw.std())
    table = dataset.folder / "classes.csv"
    table.rename(images.parent / table.name)
    return dataset


def train(dataset, *folds) -> list[Path]:
    """Trains folds; their result folders."""
    results = []
    for fold in folds:
        trainer = dataset.trainer(PCRLv2ClassificationTrainer, "3d_fullres", fold)
        trainer.run_training()
        trainer.perform_actual_validation()
        results.append(Path(trainer.output_folder))
    return results


def read(path) -> dict[str, dict[str, float]]:
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {row.pop("identifier"): {name: float(v) for name, v in row.items()} for row in rows}


@pytest.mark.slow
def test_raw_images_get_the_mean_of_the_folds_and_it_can_be_evaluated(
    dataset, nnunet_folders, capsys
):
    results = train(dataset, 0, 1)
    raw = nnunet_folders / "nnUNet_raw" / dataset.folder.name
    common = ["-i", str(raw / "imagesTr"), "-d", "999", "-c", "3d_fullres", "-device", "cpu"]
    for folds, name in ((["0"], "a"), (["1"], "b"), (["0", "1"], "both")):
        output = str(nnunet_folders / f"{name}.csv")
        predict([*common, "-o", output, "-f", *folds, "-npp", "0"])
    a, b, both = (read(nnunet_folders / f"{name}.csv") for name in ("a", "b", "both"))
    assert set(both) == {f"case_{n:02d}" for n in range(10)}
    for case, row in both.items():
        for name, value in row.items():
            assert value == pytest.approx((a[case][name] + b[case][name]) / 2, abs=1e-5)
    # What the training predicted of its validation cases, from preprocessed files.
    for case, row in read(results[0] / "validation" / "predictions.csv").items():
        assert a[case] == pytest.approx(row, abs=1e-3)

    capsys.readouterr()
    output = nnunet_folders / "evaluation"
    evaluate([str(nnunet_folders / "both.csv"), str(raw / "classes.csv"), "-o", str(output)])
    said = capsys.readouterr().out
    assert "bright" in said and "mean" in said and str(output / "report.html") in said
    summary = json.loads((output / "summary.json").read_text())
    assert summary["num_cases"] == 10
    # The pictures are found beside the table.
    assert (output / "report.html").read_text().count("data:image/png;base64,") == 2


@pytest.mark.slow
def test_what_is_missing_is_named_with_what_is_there(dataset, nnunet_folders, tmp_path):
    images = str(nnunet_folders / "nnUNet_raw" / dataset.folder.name / "imagesTr")
    (result,) = train(dataset, 0)

    def run(*more, i=images):
        predict(["-i", i, "-o", str(tmp_path / "o.csv"), "-d", "999", "-c", "3d_fullres",
                 "-device", "cpu", "-npp", "0", *more])  # fmt: skip

    with pytest.raises(
        SystemExit, match="There is no .*fold_1.*Folds with that checkpoint: fold_0"
    ):
        run()
    with pytest.raises(SystemExit, match="trainings of Dataset999_Prepared: PCRLv2Classific"):
        run("-f", "0", "-p", "otherPlans")
    with pytest.raises(SystemExit, match="There is no image named CASE_0000.nii.gz in .*empty"):
        run("-f", "0", i=str(tmp_path / "empty"))
    with pytest.raises(SystemExit, match="There is no folder .*lost to write o.csv into"):
        run("-f", "0", "-o", str(tmp_path / "lost" / "o.csv"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x_0000.nii.gz").write_text("no image")
    with pytest.raises(SystemExit, match="Case x .*x_0000.nii.gz. cannot be read"):
        run("-f", "0", i=str(tmp_path / "bad"))
    torch.save({"network_weights": {}}, result / "other.pth")
    with pytest.raises(SystemExit, match=r"other.pth is no checkpoint of a classification"):
        run("-f", "0", "-chk", "other.pth")


@pytest.mark.slow
def test_a_missing_channel_and_folds_of_other_classes_are_named(dataset, nnunet_folders, tmp_path):
    images = nnunet_folders / "nnUNet_raw" / dataset.folder.name / "imagesTr"
    results = train(dataset, 0, 1)
    path = results[1] / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    content["classes"] = ["other", "striped"]
    torch.save(content, path)
    arguments = ["-i", str(images), "-o", str(tmp_path / "o.csv"), "-d", "999", "-c", "3d_fullres"]
    with pytest.raises(SystemExit, match="have other classes .*'bright'.*'other'"):
        predict([*arguments, "-f", "0", "1", "-device", "cpu"])
    content["classes"] = ["bright", "striped"]
    content["init_args"]["dataset_json"]["channel_names"]["1"] = "second"
    torch.save(content, path)
    with pytest.raises(
        SystemExit, match="Case case_00 .* has no case_00_0001.nii.gz; the networks"
    ):
        predict([*arguments, "-f", "1", "-device", "cpu"])
