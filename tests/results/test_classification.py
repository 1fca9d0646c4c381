"""The commands of results/classification on few images of few voxels."""

import csv
import json

import classified_dataset
import numpy as np
import page_copies
import prepared_dataset
import pytest
import SimpleITK

pytestmark = pytest.mark.slow

SETS = {
    "Dataset107_NIHPneumonia": ("nih_chest_xray_1000", "Pneumonia"),
    "Dataset108_LUNAPatches": ("luna_candidate_patches", "nodule"),
}
NUM_CASES = 40


@pytest.fixture
def films(nnunet_folders, monkeypatch):
    """Both sets as they are published, and what planning would leave of them."""
    for name, (folder, column) in SETS.items():
        source = nnunet_folders / "sets" / folder
        (source / "imagesTr").mkdir(parents=True)
        monkeypatch.setattr(prepared_dataset, "NAME", name)
        dataset = classified_dataset.classified_dataset(
            nnunet_folders / "nnUNet_preprocessed", num_cases=NUM_CASES, size=(1, 32, 32)
        )
        (dataset.folder / "classes.csv").unlink()
        # No image has a segmentation, and so no label either.
        dataset.dataset_json["labels"] = {"background": 0}
        (dataset.folder / "dataset.json").write_text(json.dumps(dataset.dataset_json))
        (dataset.folder / "nnUNetPlans.json").rename(dataset.folder / "nnUNetPlans_unlabelled.json")
        (dataset.folder / "nnUNetPlans_unlabelled_2d").mkdir()
        image = SimpleITK.GetImageFromArray(np.zeros((8, 8), np.uint8))
        with open(source / "labels.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("case", "patient", "official_list", column))
            for number in range(NUM_CASES):
                case = f"case_{number:02d}"
                SimpleITK.WriteImage(image, source / "imagesTr" / f"{case}_0000.png")
                writer.writerow((case, f"patient_{number // 2}", "train_val", number % 2))
    return nnunet_folders


def test_the_page_is_made_anew_by_its_command(films):
    page = page_copies.smaller_copy(
        "classification",
        films,
        {
            "runs.py": {"NUM_DRAWS = 5": "NUM_DRAWS = 1"},
            "run.sh": {
                "--fractions 0.01 0.1 1 --folds 0 --repeats 5": "--fractions 0.5 1 --folds 0 "
                "--repeats 1",
                '"num_epochs": 10': '"num_epochs": 1',
                '"num_iterations_per_epoch": 20': '"num_iterations_per_epoch": 1',
                '"batch_size": 16': '"batch_size": 4',
                "--max_features 64": "--max_features 8",
            },
        },
    )
    for name in ("results.csv", "results.md"):
        (page / name).unlink()
    page_copies.run([str(page / "run.sh"), str(films / "sets"), "10"])

    rows = list(csv.DictReader((page / "results.csv").open()))
    cells = {(row["data"], row["kind"], row["arm"]) for row in rows}
    arms = ("scratch", "PCRLv2", "SimCLR", "MAE")
    kinds = ("linear probe", "fine-tuning")
    assert cells == {
        (data, kind, arm) for data in ("NIH", "LUNA") for kind in kinds for arm in arms
    }
    assert all(0 <= float(row["auroc"]) <= 1 for row in rows)
    assert (page / "results.md").read_text().count("\n| NIH |") == 4
