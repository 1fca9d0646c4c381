import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.cli.report import main as report_command
from nnunetv2_pcrl.monitoring.charts import curve_of
from nnunetv2_pcrl.monitoring.record import read_record
from nnunetv2_pcrl.tasks.segmentation import finetune_progress
from nnunetv2_pcrl.tasks.segmentation.finetune_progress import finetuning_shown
from nnunetv2_pcrl.tasks.start import citations_of
from nnunetv2_pcrl.trainers import PCRLv2FinetuneTrainer

pytestmark = pytest.mark.usefixtures("one_thread")


class ShortTrainer(PCRLv2FinetuneTrainer):
    """Two epochs of two steps, from scratch: where weights come from is tested elsewhere."""

    def on_train_start(self):
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 2, 2, 1
        super().on_train_start()

    def _start_from_pretrained_weights(self):
        pass


@pytest.fixture
def trainer(nnunet_folders):
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", {"2d": configuration(2)})
    for number in range(4):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 3, 20, 20), number))
    return dataset.trainer(ShortTrainer, "2d")


def test_a_fine_tuning_leaves_curves_and_a_record_with_loss_dice_and_speed(trainer, monkeypatch):
    drawn = []
    draw = finetune_progress.draw_progress

    def remember(plots, path, title):
        drawn.append({plot.title: [c.label for c in plot.curves] for plot in plots})
        draw(plots, path, title)

    monkeypatch.setattr(finetune_progress, "draw_progress", remember)
    trainer.run_training()
    folder = Path(trainer.output_folder)
    assert (folder / "progress.png").stat().st_size > 0
    # Epochs of a second are too short for a picture each; the last one is always drawn.
    (titles,) = drawn
    for words in ("loss", "pseudo Dice", "learning rate", "gradient norm", "throughput", "time"):
        assert any(words in title for title in titles), words
    logged = read_record(folder)["logged"]
    for name in ("train_gradient_norm", "images_per_second"):
        assert len(logged[name]) == 2 and np.isfinite(logged[name]).all() and min(logged[name]) > 0
    assert trainer.logger.get_value("train_gradient_norm", None) == logged["train_gradient_norm"]
    assert titles["pseudo Dice of each class or region"] == ["organ"]
    report_command([str(folder)])
    page = (folder / "report.html").read_text()
    assert "pseudo Dice" in page and "-tr ShortTrainer" in page and "case_0" in page
    # It started from no weights.
    assert "Isensee" in page and "PCRLv2" not in page


def test_the_citations_are_those_of_the_weights_that_were_loaded(tmp_path):
    loaded = {"citations": [{"type": "Methodology", "apa_citations": ["Other, A. (2020). MAE."]}]}
    (tmp_path / "transfer_report.json").write_text(json.dumps(loaded))
    citations = citations_of(tmp_path)
    assert citations[0] == "Other, A. (2020). MAE." and len(citations) == 2


def test_regions_are_called_by_their_names():
    titles = {chart.title: chart for chart in finetuning_shown(["whole", "core"]).charts}
    lines = titles["pseudo Dice of each class or region"].lines
    logged = {"epoch_end_timestamps": [0, 1], "dice_per_class_or_region": [[0.1, 0.2], [0.3, 0.4]]}
    assert [(line.label, curve_of(line, logged).values) for line in lines] == [
        ("whole", (0.1, 0.3)),
        ("core", (0.2, 0.4)),
    ]


def test_the_gradient_norm_is_that_of_the_step_and_gradients_stay_as_they_are(trainer):
    trainer.on_train_start()
    parameters = [p for p in trainer.network.parameters() if p.requires_grad]
    for number, parameter in enumerate(parameters):
        parameter.grad = torch.full_like(parameter, float(number % 3))
    before = [parameter.grad.clone() for parameter in parameters]
    trainer.optimizer.step()
    assert all(torch.equal(p.grad, g) for p, g in zip(parameters, before, strict=True))
    expected = math.sqrt(sum(float(g.square().sum()) for g in before))
    (squared,) = trainer.progress._squares
    assert float(squared.sqrt()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_failure_is_said_once_and_the_training_goes_on(trainer, monkeypatch):
    def fail(*args):
        raise OSError("no room")

    monkeypatch.setattr(finetune_progress, "write_record", fail)
    trainer.run_training()
    folder = Path(trainer.output_folder)
    assert (folder / "checkpoint_final.pth").is_file()
    text = "".join(path.read_text() for path in folder.glob("training_log*.txt"))
    assert text.count("WARNING: progress.png failed") == 1
