"""Files that a fine-tuning reads: weights that say what they are, and checkpoints to go on from."""

import json
import os
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.tasks.segmentation.finetune_progress import FinetuneProgress
from nnunetv2_pcrl.trainers import PCRLv2FinetuneTrainer
from nnunetv2_pcrl.trainers import trainer_named as variant
from nnunetv2_pcrl.weights.portable import FRAMEWORK

pytestmark = pytest.mark.usefixtures("one_thread")
MAE = {"type": "Methodology", "name": "MAE", "apa_citations": ["He (2022)."]}


@pytest.fixture
def dataset(nnunet_folders):
    prepared = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", {"2d": configuration(2)})
    for number in range(2):
        prepared.add_case("2d", f"case_{number}", smooth_image((1, 3, 20, 20), number))
    return prepared


@pytest.fixture
def weights(dataset, tmp_path, monkeypatch):
    """Writes a file of the planned network with what it says of itself."""

    def write(**about) -> Path:
        trainer = dataset.trainer(variant("PCRLv2FinetuneTrainer_fromScratch"), "2d")
        trainer.initialize()
        content = {"network_weights": trainer.network.state_dict(), "nnunet_plans": dataset.plans}
        torch.save({**content, **about}, tmp_path / "weights.pth")
        monkeypatch.setenv("nnUNet_pcrl_weights", str(tmp_path / "weights.pth"))
        return tmp_path / "weights.pth"

    return write


def start(dataset, trainer=PCRLv2FinetuneTrainer, **settings):
    """A fine-tuning up to its first step, without its loaders."""
    dataset.plans["configurations"]["2d"]["nnunetv2_pcrl"] = {"finetune": settings}
    trainer = dataset.trainer(trainer, "2d")
    trainer.initialize()
    trainer._start_from_pretrained_weights()
    return trainer


def test_the_report_says_method_variants_and_citations_which_the_record_cites(dataset, weights):
    weights(method="MAE", variants=["seed3"], decoder="skips", citations=[MAE])
    trainer = start(dataset, transfer="encoder_decoder")
    folder = Path(trainer.output_folder)
    report = json.loads((folder / "transfer_report.json").read_text())
    assert (report["method"], report["variants"]) == ("MAE", ["seed3"])
    assert report["citations"] == [MAE]
    log = "".join(path.read_text() for path in folder.glob("training_log*.txt"))
    assert "method MAE seed3; its decoder was trained with skip connections" in log
    trainer.progress = FinetuneProgress(trainer)
    for name in ("epoch_start_timestamps", "epoch_end_timestamps"):
        trainer.logger.log(name, 0.0, 0)
    trainer.progress.after_epoch(str(folder))
    record = json.loads((folder / "monitoring.json").read_text())
    assert record["citations"] == ["He (2022).", *FRAMEWORK["apa_citations"]]


def test_a_decoder_that_was_not_trained_is_refused_before_the_training(dataset, weights):
    path = weights(decoder="none")
    with pytest.raises(ValueError, match=f"Weights {path}.*needs a decoder, and the pretraining"):
        start(dataset, transfer="encoder_decoder")
    start(dataset)


def test_both_halves_of_a_decoder_trained_with_skips_are_loaded(dataset, weights):
    path = weights(decoder="skips")
    trainer = start(dataset, transfer="encoder_decoder")
    stored = torch.load(path, weights_only=True)["network_weights"]
    name = "decoder.stages.0.convs.0.conv.weight"
    assert torch.equal(trainer.network.state_dict()[name], stored[name])


def test_a_file_with_odd_entries_is_refused_with_its_place(dataset, weights):
    weights(channel_names=5)
    with pytest.raises(ValueError, match='environment variable.*the entry "channel_names" is 5'):
        start(dataset)


@pytest.fixture
def checkpoint(dataset) -> Path:
    """A checkpoint of a training from scratch."""
    trainer = dataset.trainer(variant("PCRLv2FinetuneTrainer_fromScratch"), "2d")
    trainer.initialize()
    path = Path(trainer.output_folder) / "checkpoint_latest.pth"
    trainer.save_checkpoint(str(path))
    return path


def resume(dataset, path: Path) -> None:
    trainer = dataset.trainer(variant("PCRLv2FinetuneTrainer_fromScratch"), "2d", resume=True)
    trainer.load_checkpoint(os.fspath(path))


def test_going_on_from_a_truncated_checkpoint_names_the_whole_one(dataset, checkpoint):
    resume(dataset, checkpoint)
    content = checkpoint.read_bytes()
    checkpoint.with_name("checkpoint_best.pth").write_bytes(content)
    checkpoint.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="checkpoint_best.pth of epoch 1 is whole: rename it to"):
        resume(dataset, checkpoint)


def test_going_on_from_another_trainer_or_other_plans_is_refused(dataset, checkpoint):
    stock = dataset.trainer(nnUNetTrainer, "2d")
    stock.initialize()
    other = checkpoint.with_name("other.pth")
    stock.save_checkpoint(str(other))
    with pytest.raises(ValueError, match="other.pth is a checkpoint of nnUNetTrainer, and this"):
        resume(dataset, other)
    arguments = dataset.plans["configurations"]["2d"]["architecture"]["arch_kwargs"]
    arguments["features_per_stage"] = [2, 8, 8]
    with pytest.raises(ValueError, match="checkpoint_latest.pth holds another network than these"):
        resume(dataset, checkpoint)
