"""The commands of results/methods on few images of few voxels."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import page_copies
import prepared_dataset
import pytest
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl import trainers

pytestmark = pytest.mark.slow


@pytest.fixture
def heart(nnunet_folders, monkeypatch):
    """A preprocessed data set like ACDC: three structures in every image."""
    monkeypatch.setattr(prepared_dataset, "NAME", "Dataset103_ACDC")
    plan = configuration(2, patch_size=[32, 32])
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", {"2d": plan})
    cases = [f"patient{number:03d}" for number in range(16)]
    for number, case in enumerate(cases):
        image = smooth_image((1, 2, 40, 40), number).astype(np.float32)
        structures = np.zeros(image.shape, np.int8)
        for value in (1, 2, 3):
            structures[..., 4:36, 8 * value : 8 * value + 8] = value
        locations = {value: np.argwhere(structures == value)[:50] for value in (1, 2, 3)}
        nnUNetDatasetBlosc2.save_case(
            image + structures,
            structures,
            {"class_locations": locations, "spacing": [1.0, 1.0, 1.0]},
            str(dataset.data_folder("2d") / case),
            chunks=image.shape,
            blocks=image.shape,
        )
    splits = [{"train": cases[:12], "val": cases[12:]}]
    (dataset.folder / "splits_final.json").write_text(json.dumps(splits))
    return nnunet_folders


def test_pretrainings_are_measured_once_and_told_in_a_table(heart):
    page = page_copies.smaller_copy(
        "methods",
        heart,
        {
            "measure.py": {
                "default=240": "default=1",
                "default=[0, 1, 2]": "default=[0]",
                "BATCH_SIZE, VALIDATION_BATCHES = 16, 4": "BATCH_SIZE, VALIDATION_BATCHES = 4, 1",
            },
            "run.sh": {"--max_patch 64": "--max_patch 32"},
        },
    )
    (page / "pretraining.csv").unlink()
    page_copies.run([str(page / "run.sh"), "VoCo", "MAE_densified", "PCRLv2"])

    rows = list(csv.DictReader((page / "pretraining.csv").open()))
    assert {row["method"] for row in rows} == {"VoCo", "MAE_densified", "PCRLv2"}
    assert {row["seed"] for row in rows} == {"0"}
    table = (page / "table.md").read_text()
    assert "| PCRLv2 | 1 | encoder_probe | before |" in table
    assert "| MAE_densified | 1 | restoration_error | 1.0 |" in table
    assert "| VoCo | 1 | positive |" in table and "| PCRLv2 | 1 | probe | before |" in table
    assert (page / "probe.svg").is_file()


def test_every_command_from_pretraining_to_prediction_is_one_that_exists(nnunet_folders):
    folder = nnunet_folders / "nnUNet_preprocessed" / "Dataset004_Hippocampus"
    folder.mkdir()
    (folder / "nnUNetPlansDemo.json").touch()
    images = nnunet_folders / "nnUNet_raw" / folder.name / "imagesTr"
    images.mkdir(parents=True)
    for number in range(3):
        (images / f"hippocampus_{number}_0000.nii.gz").touch()
    log, names = nnunet_folders / "log", ("nnUNetv2_train", "nnUNetv2_predict")
    assert all(map(shutil.which, names))
    programs = page_copies.recorders(nnunet_folders / "bin", log, names)
    page = page_copies.smaller_copy("methods", nnunet_folders, {})
    page_copies.run([str(page / "finetune.sh")], programs)

    calls = [line.split() for line in log.read_text().splitlines()]
    assert [call[0] for call in calls] == 4 * [
        "nnUNetv2_train",
        "nnUNetv2_train",
        "nnUNetv2_predict",
    ]
    used = [call[call.index("-tr") + 1] for call in calls]
    assert all(hasattr(trainers, name) for name in used)
    assert used[:3] == ["VoCoPretrainTrainer", *2 * ["VoCoFinetuneTrainer_1epoch"]]
    assert Path(calls[2][calls[2].index("-o") + 1]).parent.name == folder.name
