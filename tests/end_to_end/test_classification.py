"""Real images, from a folder and a table to predictions and their evaluation."""

import csv
import json
from pathlib import Path

import pytest
from shrink_plans import shrink_plans

pytestmark = pytest.mark.slow

PLANS = "nnUNetPlansSmall"
SHORT = {"num_iterations_per_epoch": 3, "batch_size": 4}
PRETRAINING = {
    "batch_size": 4,
    "num_iterations_per_epoch": 2,
    "num_val_iterations_per_epoch": 1,
    "num_epochs": 1,
}


def read(path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_raw(experiment, name: str, content: dict, images: dict[str, Path], test: set[str]):
    """A raw data set of links; the folder.

    Args:
        experiment: whose nnUNet_raw.
        name: of the data set.
        content: of dataset.json, beside what all have.
        images: file by case.
        test: cases of imagesTs.
    """
    folder = experiment.raw / name
    for part in ("imagesTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    ending = content["file_ending"]
    for case, path in images.items():
        part = "imagesTs" if case in test else "imagesTr"
        (folder / part / f"{case}_0000{ending}").symlink_to(path)
    described = {"labels": {"background": 0}, "numTraining": len(images) - len(test), **content}
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def write_classes(folder: Path, header: tuple, rows: list[tuple]) -> None:
    with open(folder / "classes.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def plan(experiment, number: int, configuration: str) -> None:
    """Plans and preprocesses, and writes small plans beside."""
    experiment.run_ours("plan_and_preprocess", "-d", number, "-c", configuration, "-np", 1)
    (folder,) = experiment.preprocessed.glob(f"Dataset{number:03d}_*")
    plans = json.loads((folder / "nnUNetPlans_unlabelled.json").read_text())
    sections = {"pcrlv2": PRETRAINING, "classification": SHORT}
    small = shrink_plans(plans, PLANS, 4, 8, 32, 2, sections)
    (folder / f"{PLANS}.json").write_text(json.dumps(small))


def predict(experiment, number: int, configuration: str, trainer: str, images: Path) -> Path:
    """Predicts a folder of raw images with fold 0; the table."""
    output = experiment.raw.parent / "predicted.csv"
    experiment.run_ours(
        "predict_classes", "-i", images, "-o", output, "-d", number, "-c", configuration, "-f", 0,
        "-tr", trainer, "-p", PLANS, "-device", "cpu", "-npp", 1,
    )  # fmt: skip
    return output


def test_chest_films_are_pretrained_classified_predicted_and_evaluated(experiment, shared_data):
    source = shared_data("classification/nih_chest_xray_1000")
    rows = read(source / "labels.csv")
    chosen = [r for r in rows if r["repo_class"] == "No_findings"][:24]
    chosen += [r for r in rows if r["Pneumonia"] == "1" and r["official_list"] == "train_val"][:24]
    test = [r for r in rows if r["official_list"] == "test"][:6]
    images = {r["case"]: source / "imagesTr" / f"{r['case']}_0000.png" for r in chosen + test}
    content = {
        "channel_names": {"0": "X-ray"},
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    raw = write_raw(experiment, "Dataset014_Films", content, images, {r["case"] for r in test})
    findings = ("Pneumonia", "Infiltration", "Hernia")
    write_classes(
        raw,
        ("identifier", "patient", "list", *findings),
        [(r["case"], r["patient"], r["official_list"], *(r[f] for f in findings))
         for r in chosen + test],
    )  # fmt: skip
    plan(experiment, 14, "2d")
    experiment.train(14, "2d", "all", "PCRLv2PretrainTrainer")
    trainer = "PCRLv2ClassificationTrainer_linearProbe_2epochs"
    said = experiment.train(14, "2d", 0, trainer)
    assert "100.0 % of the encoder's" in said
    assert "folds of the training images, grouped by patient" in said
    assert "of list train_val" in said
    result = experiment.result("Dataset014_Films", trainer, "2d", 0)
    summary = json.loads((result / "validation" / "summary.json").read_text())
    assert 0 <= summary["classes"]["Pneumonia"]["auroc"] <= 1
    patients = {r["case"]: r["patient"] for r in chosen}
    (preprocessed,) = experiment.preprocessed.glob("Dataset014_*")
    for fold in json.loads((preprocessed / "splits_final.json").read_text()):
        parts = [{patients[case] for case in fold[part]} for part in ("train", "val")]
        assert not parts[0] & parts[1]

    output = predict(experiment, 14, "2d", trainer, raw / "imagesTs")
    assert {r["identifier"] for r in read(output)} == {r["case"] for r in test}
    evaluation = experiment.raw.parent / "evaluation"
    experiment.run_ours("evaluate_classes", output, raw / "classes.csv", "-o", evaluation)
    summary = json.loads((evaluation / "summary.json").read_text())
    # All films of the official test list here have pneumonia, so that nothing can be ranked.
    assert summary["undefined"]["Pneumonia"] == "all 6 known cases are positive"
    assert summary["about"]["cases of official list"] == {"test": 6}
    assert "data:image/png" in (evaluation / "report.html").read_text()


def test_ultrasound_images_of_three_kinds_get_probabilities_that_sum_to_1(experiment, shared_data):
    source = shared_data("classification/breast_ultrasound")
    kinds = ("benign", "malignant", "normal")
    rows = read(source / "labels.csv")
    chosen = [r for kind in kinds for r in [r for r in rows if r["class"] == kind][:8]]
    images = {r["case"]: source / "imagesTr" / f"{r['case']}_0000.png" for r in chosen}
    content = {"channel_names": {"0": "ultrasound"}, "file_ending": ".png"}
    raw = write_raw(experiment, "Dataset109_Breast", content, images, set())
    write_classes(raw, ("identifier", "class"), [(r["case"], r["class"]) for r in chosen])
    plan(experiment, 109, "2d")
    trainer = "PCRLv2ClassificationTrainer_fromScratch_1epoch"
    experiment.train(109, "2d", 0, trainer)
    result = experiment.result("Dataset109_Breast", trainer, "2d", 0)
    for row in read(result / "validation" / "predictions.csv"):
        assert sum(float(row[kind]) for kind in kinds) == pytest.approx(1, abs=1e-4)
    summary = json.loads((result / "validation" / "summary.json").read_text())
    assert set(summary["classes"]) == set(kinds) and not summary["undefined"]


def test_volumes_of_the_heart_are_told_by_their_phase(experiment, shared_data):
    source = shared_data("Dataset103_ACDC")
    rows = read(source / "cases.csv")[:16]
    phase = {r["case"]: "ED" if r["frame"] == "01" else "ES" for r in rows}
    images = {r["case"]: source / "imagesTr" / f"{r['case']}_0000.nii.gz" for r in rows}
    test = {r["case"] for r in rows[-4:]}
    content = {"channel_names": {"0": "cineMRI"}, "file_ending": ".nii.gz"}
    raw = write_raw(experiment, "Dataset103_Phase", content, images, test)
    write_classes(
        raw,
        ("identifier", "patient", "class"),
        [(r["case"], r["patient"], phase[r["case"]]) for r in rows],
    )
    plan(experiment, 103, "3d_fullres")
    trainer = "PCRLv2ClassificationTrainer_fromScratch_1epoch"
    said = experiment.train(103, "3d_fullres", 0, trainer)
    assert "cases of 5 patients" in said or "cases of 4 patients" in said
    output = predict(experiment, 103, "3d_fullres", trainer, raw / "imagesTs")
    predicted = read(output)
    assert {r["identifier"] for r in predicted} == test
    for row in predicted:
        assert float(row["ED"]) + float(row["ES"]) == pytest.approx(1, abs=1e-4)
