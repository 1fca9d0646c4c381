"""An experiment with nnU-Net's own nnUNetv2_train."""

import json
import shutil

import pytest

from nnunetv2_pcrl.cli.experiment import main
from nnunetv2_pcrl.label_folds.files import table_of, write_folds
from nnunetv2_pcrl.label_folds.table import LabelFold
from nnunetv2_pcrl.registration import register

pytestmark = pytest.mark.slow

CT = "Dataset901_DemoCT"
TRAINER = "ShortFinetuneTrainer"


@pytest.fixture
def prepared(experiment, generated, monkeypatch):
    """The CT set with two of fold 0's training cases as a label fold, in nnU-Net's folders."""
    folder = shutil.copytree(generated.preprocessed / CT, experiment.preprocessed / CT)
    experiment.shrink(901, "nnUNetPlans", num_epochs=1)
    cases = sorted(path.name.split(".")[0] for path in folder.glob("gt_segmentations/*.nii.gz"))
    splits = [{"train": cases[1:stop], "val": cases[:1]} for stop in (len(cases), 3)]
    part = LabelFold(1, 0, 2, 2 / (len(cases) - 1), 0)
    write_folds(folder, splits, table_of(0, [part], splits))
    for name, value in experiment.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("nnUNet_pcrl_weights", raising=False)
    register()
    return experiment


def test_an_experiment_pretrains_trains_and_repeats_nothing(prepared, capsys):
    command = ["-d", "901", "-c", "3d_fullres", "-p", "nnUNetPlansSmall"]
    arguments = [*command, "-device", "cpu", "--trainers", TRAINER]
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    text = capsys.readouterr().out
    assert f"[2 of 2 done] {TRAINER}, fold 1 (2 cases of fold 0, repeat 0) finished in" in text
    assert f"nnUNetv2_pcrl_compare {' '.join(command)}\n" in text

    weights = prepared.result(CT, "PCRLv2PretrainTrainer", "3d_fullres", 0)
    assert "4 training and 1 validation cases" in (weights / "experiment.log").read_text()
    folder = prepared.result(CT, TRAINER, "3d_fullres", 1)
    assert "2 training and 1 validation cases" in (folder / "experiment.log").read_text()
    summary = json.loads((folder / "validation" / "summary.json").read_text())
    assert len(summary["metric_per_case"]) == 1
    report = json.loads((folder / "transfer_report.json").read_text())
    assert report["weights"] == str(weights / "pretrained_weights.pth")

    main([*arguments, "--print"])
    assert capsys.readouterr().out == ""
