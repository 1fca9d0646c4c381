"""The trainer: where it starts, what it learns, how it goes on, what it leaves behind."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from classified_dataset import classified_dataset
from ranks import run_on_ranks

from nnunetv2_pcrl.datasets.classes import ClassTable, read_classes, write_classes
from nnunetv2_pcrl.tasks.encoder.loss import summed_loss
from nnunetv2_pcrl.trainers import PCRLv2ClassificationTrainer
from nnunetv2_pcrl.trainers import trainer_named as variant
from nnunetv2_pcrl.training.broken_steps import MOST_IN_A_ROW
from nnunetv2_pcrl.weights.portable import write_weights

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

SHAPES = {
    "2d": (2, (1, 20, 24), "PlainConvUNet"),
    "3d": (3, (18, 20, 24), "ResidualEncoderUNet"),
    "slices": (2, (3, 20, 24), "PlainConvUNet"),
}


@pytest.fixture
def dataset(preprocessed):
    return classified_dataset(preprocessed)


def started(dataset, name="2d", fold=0, trainer=PCRLv2ClassificationTrainer):
    """A training that has done everything up to its first step."""
    trainer = dataset.trainer(trainer, name, fold)
    trainer.on_train_start()
    return trainer


def trained(dataset, name="2d", fold=0, trainer=PCRLv2ClassificationTrainer):
    trainer = dataset.trainer(trainer, name, fold)
    trainer.run_training()
    return trainer


def log_text(trainer) -> str:
    return "".join(p.read_text() for p in Path(trainer.output_folder).glob("training_log*.txt"))


def logged(trainer) -> dict[str, list]:
    return trainer.logger.local_logger.my_fantastic_logging


def write_pretrained(dataset, name="2d", seed=5) -> Path:
    """Weights as a pretraining on all cases leaves them; their path."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    stock = dataset.trainer(nnUNetTrainer, name, "all")
    torch.manual_seed(seed)
    stock.initialize()
    folder = Path(stock.output_folder_base).with_name(f"PCRLv2PretrainTrainer__nnUNetPlans__{name}")
    (folder / "fold_all").mkdir(parents=True)
    about = {"nnunet_plans": dataset.plans, "nnunet_configuration": name, "method": "PCRLv2"}
    path = folder / "fold_all" / "pretrained_weights.pth"
    write_weights(path, stock.network.state_dict(), about)
    return path


def use_weights(dataset, name="2d", **settings) -> None:
    section = dataset.plans["configurations"][name]["nnunetv2_pcrl"]["classification"]
    section.pop("from_scratch")
    section.update(settings)


@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ("2d", "windows"),
        ("3d", "whole"),
        ("3d", "windows"),
        ("slices", "whole"),
    ],
)
def test_it_trains_and_leaves_predictions_scores_and_a_report(preprocessed, shape, window):
    dim, size, architecture = SHAPES[shape]
    dataset = classified_dataset(preprocessed, dim, 12, size, architecture, input=window)
    trainer = trained(dataset, "2d" if dim == 2 else "3d_fullres")
    trainer.perform_actual_validation()
    folder = Path(trainer.output_folder)
    for name in ("checkpoint_final.pth", "checkpoint_best.pth", "progress.png", "monitoring.json"):
        assert (folder / name).is_file(), name
    assert not (folder / "checkpoint_latest.pth").exists()
    with open(folder / "validation" / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["identifier"] for row in rows) == sorted(trainer.split.val.identifiers)
    assert all(0 < float(row[name]) < 1 for row in rows for name in ("bright", "striped"))
    summary = json.loads((folder / "validation" / "summary.json").read_text())
    assert set(summary["classes"]) == {"bright", "striped"}
    assert summary["about"]["checkpoint"] == "checkpoint_final.pth"
    page = (folder / "validation" / "report.html").read_text()
    assert page.count("data:image/png;base64") == 2
    assert all(math.isfinite(loss) for loss in logged(trainer)["train_losses"])


def test_it_learns_what_an_image_shows(preprocessed):
    dataset = classified_dataset(
        preprocessed, num_cases=24, num_epochs=12, num_iterations_per_epoch=10, initial_lr=3e-3,
        dropout=0.0, mirror_axes=[0, 1], max_rotation_degrees=0.0,
    )  # fmt: skip
    values = logged(trained(dataset, fold="all"))
    assert values["train_losses"][-1] < 0.7 * values["train_losses"][0]
    assert values["val_auroc"][-1] > 0.9


def test_it_begins_with_the_prevalences_and_standardised_features(dataset):
    trainer = started(dataset)
    table = trainer.split.train
    streams = trainer._streams(trainer.reader())
    order = trainer.order_of(table)
    images = torch.cat([b["image"] for b in streams.some_images(table, order, len(table))])
    network = trainer.network.eval()
    with torch.no_grad():
        features = network.standardise(network.pooled(images))
        logits = network(images)
    torch.testing.assert_close(features.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    shares = table.targets.mean(0)
    expected = np.log(shares / (1 - shares))
    np.testing.assert_allclose(logits, np.tile(expected, (len(images), 1)), rtol=1e-5)
    total, number = summed_loss(logits, torch.from_numpy(table.targets), "multilabel")
    entropy = -(shares * np.log(shares) + (1 - shares) * np.log(1 - shares))
    assert (total / number).item() == pytest.approx(entropy.mean(), abs=1e-6)


def test_one_class_per_image_is_told_by_a_column_class(dataset):
    path = dataset.folder / "classes.csv"
    table = read_classes(path)
    targets = np.eye(3)[[n % 3 for n in range(len(table))]]
    names = ("benign", "malignant", "normal")
    write_classes(
        path,
        ClassTable(table.identifiers, table.patients, table.lists, names, "multiclass", targets),
    )
    trainer = trained(dataset)
    trainer.perform_actual_validation()
    with open(Path(trainer.output_folder) / "validation" / "predictions.csv") as file:
        for row in csv.DictReader(file):
            assert sum(float(row[name]) for name in names) == pytest.approx(1, abs=1e-4)
    # The entropy of thirds, as every class is as frequent.
    assert logged(trainer)["train_losses"][0] == pytest.approx(math.log(3), abs=0.15)


# Where it starts


def test_it_starts_from_the_newest_pretraining_as_fine_tuning_does(dataset):
    weights = write_pretrained(dataset)
    use_weights(dataset)
    trainer = started(dataset)
    stored = torch.load(weights, weights_only=True)["network_weights"]
    for name, value in trainer.network.encoder.named_parameters():
        assert torch.equal(value, stored[f"encoder.{name}"]), name
    report = json.loads((Path(trainer.output_folder) / "transfer_report.json").read_text())
    assert report["weights"] == str(weights)
    assert report["encoder_share"] == 1
    assert "100.0 % of the encoder's" in log_text(trainer)


def test_without_weights_it_says_where_it_looked(dataset):
    use_weights(dataset)
    with pytest.raises(ValueError, match="No pretrained weights were found.*nnUNet_pcrl_weights"):
        started(dataset)


def test_from_scratch_needs_no_weights_and_leaves_no_report_of_any(dataset):
    write_pretrained(dataset)
    use_weights(dataset)
    started(dataset, fold=0)
    name = variant("PCRLv2ClassificationTrainer_fromScratch")
    trainer = started(dataset, trainer=name)
    assert "Training from scratch" in log_text(trainer)
    assert not (Path(trainer.output_folder) / "transfer_report.json").exists()


def test_a_linear_probe_leaves_the_encoder_as_it_is(dataset):
    trainer = dataset.trainer(variant("PCRLv2ClassificationTrainer_linearProbe"), "2d", 0)
    trainer.initialize()
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.run_training()
    after = trainer.network.state_dict()
    for name, value in before.items():
        if name.startswith("encoder."):
            assert torch.equal(after[name], value), name
    assert after["linear.weight"].any()


def test_variants_are_told_by_words_in_any_number_and_order():
    name = "PCRLv2ClassificationTrainer_linearProbe_7epochs_seed2_allStages"
    assert variant(name).variant == {
        "linear_probe": True,
        "num_epochs": 7,
        "seed": 2,
        "stages": "all",
    }
    assert variant("PCRLv2ClassificationTrainer_heSkip") is None
    assert variant("PCRLv2ClassificationTrainer_seed1_seed2") is None
    # A variant of the pretraining says whose weights.
    authors = variant("PCRLv2ClassificationTrainer_authors_seed1")
    assert authors.pretraining.trainer_name == "PCRLv2PretrainTrainer_authors"
    assert authors.variant == {"seed": 1}


def test_pooling_all_stages_is_a_wider_linear_layer(dataset):
    trainer = started(dataset, trainer=variant("PCRLv2ClassificationTrainer_allStages"))
    assert trainer.network.linear.in_features == 4 + 8 + 8


# Cases


def test_patients_stay_together_in_folds_that_are_made(dataset):
    trainer = started(dataset)
    assert len(json.loads((dataset.folder / "splits_final.json").read_text())) == 5
    assert not set(trainer.split.train.patients) & set(trainer.split.val.patients)
    assert "5 folds of the training images, grouped by patient" in log_text(trainer)
    assert "Training: 16 cases of 8 patients" in log_text(trainer)


def test_folds_that_are_there_are_kept_and_patients_on_both_sides_are_warned_of(dataset):
    splits = [{"train": [f"case_{n:02d}" for n in range(1, 20)], "val": ["case_00"]}]
    (dataset.folder / "splits_final.json").write_text(json.dumps(splits))
    trainer = started(dataset)
    assert list(trainer.split.val.identifiers) == ["case_00"]
    assert "WARNING: 1 patients, patient_0 among them" in log_text(trainer)
    with pytest.raises(ValueError, match="There is no fold 3 in .*splits_final.json, which has 1"):
        started(dataset, fold=3)


def test_cases_of_unknown_class_are_left_out_and_said_so(dataset):
    path = dataset.folder / "classes.csv"
    table = read_classes(path)
    table.targets[:3] = np.nan
    write_classes(path, table.of(table.identifiers[:-1]))
    trainer = started(dataset, fold="all")
    assert trainer.split.train.identifiers == table.identifiers[3:-1]
    assert "4 of 20 preprocessed cases are left out" in log_text(trainer)


def test_without_a_table_of_classes_the_place_is_named(dataset):
    (dataset.folder / "classes.csv").unlink()
    with pytest.raises(ValueError, match='There is no .*classes.csv.*one column "class"'):
        started(dataset)


def test_a_fold_without_any_known_case_is_refused(dataset):
    splits = [{"train": ["case_01"], "val": ["lost"]}]
    (dataset.folder / "splits_final.json").write_text(json.dumps(splits))
    with pytest.raises(ValueError, match="Fold 0 of .* has no case to val with: none of its 1"):
        started(dataset)


def test_of_many_validation_cases_the_same_ones_are_predicted_in_every_epoch(preprocessed):
    dataset = classified_dataset(preprocessed, max_val_cases=2)
    trainer = trained(dataset)
    assert len(trainer._epoch_val) == 2
    trainer.perform_actual_validation()
    summary = Path(trainer.output_folder) / "validation" / "summary.json"
    assert json.loads(summary.read_text())["num_cases"] == len(trainer.split.val) > 2


# Going on


class InterruptedTrainingError(Exception):
    pass


def interrupted_after(dataset, num_epochs: int):
    """A training that is killed after so many epochs, with a checkpoint."""
    trainer = dataset.trainer(PCRLv2ClassificationTrainer, "2d", 0)
    trainer.save_every = 1
    end = trainer.on_epoch_end

    def stop():
        end()
        if trainer.current_epoch == num_epochs:
            raise InterruptedTrainingError

    trainer.on_epoch_end = stop
    with pytest.raises(InterruptedTrainingError):
        trainer.run_training()
    return Path(trainer.output_folder) / "checkpoint_latest.pth"


def test_a_resumed_training_ends_as_one_that_was_never_stopped(preprocessed, monkeypatch):
    dataset = classified_dataset(preprocessed, num_epochs=4)
    whole = trained(dataset)
    checkpoint = interrupted_after(dataset, 2)
    # What other draws of the process are must not matter.
    torch.manual_seed(77)
    np.random.seed(77)
    resumed = dataset.trainer(PCRLv2ClassificationTrainer, "2d", 0, resume=True)
    resumed.load_checkpoint(str(checkpoint))
    assert resumed.current_epoch == 2
    resumed.run_training()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name
    for name in ("train_losses", "val_losses", "val_auroc", "lrs"):
        assert logged(resumed)[name] == logged(whole)[name]


def test_changed_settings_are_said_and_other_classes_are_refused(dataset):
    checkpoint = interrupted_after(dataset, 1)
    section = dataset.plans["configurations"]["2d"]["nnunetv2_pcrl"]["classification"]
    section["weight_decay"] = 0.5
    trainer = dataset.trainer(PCRLv2ClassificationTrainer, "2d", 0, resume=True)
    trainer.load_checkpoint(str(checkpoint))
    assert "setting weight_decay was 0.01 and is now 0.5" in log_text(trainer)
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.5
    path = dataset.folder / "classes.csv"
    path.write_text(path.read_text().replace("striped", "dotted"))
    trainer = dataset.trainer(PCRLv2ClassificationTrainer, "2d", 0, resume=True)
    with pytest.raises(ValueError, match=r"learned the multilabel classes \['bright', 'striped'\]"):
        trainer.load_checkpoint(str(checkpoint))


def test_validation_alone_predicts_what_the_training_predicted(dataset):
    trainer = trained(dataset)
    trainer.perform_actual_validation()
    file = Path(trainer.output_folder) / "validation" / "predictions.csv"
    expected = file.read_text()
    file.unlink()
    again = dataset.trainer(PCRLv2ClassificationTrainer, "2d", 0)
    again.load_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    again.perform_actual_validation()
    assert file.read_text() == expected
    again.load_checkpoint(str(Path(trainer.output_folder) / "checkpoint_best.pth"))
    again.perform_actual_validation()
    summary = json.loads((file.parent / "summary.json").read_text())
    assert summary["about"]["checkpoint"] == "checkpoint_best.pth"


def test_the_best_checkpoint_is_that_of_the_highest_auroc(dataset):
    trainer = trained(dataset)
    best = torch.load(Path(trainer.output_folder) / "checkpoint_best.pth", weights_only=True)
    aurocs = logged(trainer)["val_auroc"]
    assert best["_best_ema"] == max(aurocs)
    assert best["current_epoch"] == 1 + int(np.argmax(aurocs))


def test_without_a_defined_auroc_the_lowest_loss_is_best(dataset):
    splits = [{"train": [f"case_{n:02d}" for n in range(1, 20)], "val": ["case_00"]}]
    (dataset.folder / "splits_final.json").write_text(json.dumps(splits))
    trainer = trained(dataset)
    assert np.isnan(logged(trainer)["val_auroc"]).all()
    best = torch.load(Path(trainer.output_folder) / "checkpoint_best.pth", weights_only=True)
    assert best["_best_ema"] == -min(logged(trainer)["val_losses"])
    trainer.perform_actual_validation()
    summary = json.loads((Path(trainer.output_folder) / "validation" / "summary.json").read_text())
    assert summary["mean"]["auroc"] is None
    assert summary["undefined"] == {
        "bright": "all 1 known cases are negative",
        "striped": "all 1 known cases are positive",
    }


def test_a_killed_write_leaves_the_earlier_checkpoint(dataset, monkeypatch):
    trainer = started(dataset)
    path = Path(trainer.output_folder) / "checkpoint_latest.pth"
    trainer.save_checkpoint(str(path))
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        trainer.save_checkpoint(str(path))
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*.tmp"))


# At nnU-Net's border


def test_segmenting_with_it_is_refused_with_the_command_that_predicts(dataset):
    trainer = dataset.trainer(PCRLv2ClassificationTrainer, "2d", 0)
    with pytest.raises(
        ValueError, match="classifies, and nnUNetv2_predict segments.*predict_class"
    ):
        PCRLv2ClassificationTrainer.build_network_architecture(
            trainer.plans_manager, trainer.configuration_manager, 1, 1, False
        )


def test_a_cascade_is_refused(preprocessed):
    dataset = classified_dataset(preprocessed, 3, 2, (18, 20, 24))
    configurations = dataset.plans["configurations"]
    configurations["3d_lowres"] = {"inherits_from": "3d_fullres", "next_stage": "cascade"}
    configurations["cascade"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    with pytest.raises(ValueError, match="ClassificationTrainer with cascade is not possible"):
        dataset.trainer(PCRLv2ClassificationTrainer, "cascade", 0)


def test_an_unknown_setting_is_refused_before_anything_is_trained(preprocessed):
    dataset = classified_dataset(preprocessed, dropot=0.1)
    with pytest.raises(ValueError, match='"dropot" .did you mean "dropout"'):
        dataset.trainer(PCRLv2ClassificationTrainer, "2d", 0)


def train_on_this_rank(dataset) -> dict:
    """Trains as one of several processes; the final weights and the log."""
    trainer = dataset.trainer(PCRLv2ClassificationTrainer, "2d", 0)
    # As the launcher does: nnU-Net takes for granted that there are GPUs.
    trainer.device, trainer.grad_scaler = torch.device("cpu"), None
    trainer.run_training()
    trainer.perform_actual_validation()
    return {"weights": trainer.network.state_dict(), "losses": logged(trainer)["train_losses"]}


def test_several_processes_train_as_one(preprocessed):
    # Unequal shares of the batch, and unknown classes on one side.
    dataset = classified_dataset(preprocessed, batch_size=5, dropout=0.0)
    path = dataset.folder / "classes.csv"
    table = read_classes(path)
    table.targets[::3, 1] = np.nan
    write_classes(path, table)
    alone = train_on_this_rank(dataset)
    folder = dataset.folder.parents[1] / "nnUNet_results"
    (file,) = folder.rglob("predictions.csv")
    expected = file.read_text()
    file.unlink()
    first, second = run_on_ranks(train_on_this_rank, 2, dataset)
    for name, value in alone["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name]), name
        torch.testing.assert_close(first["weights"][name], value, rtol=1e-4, atol=1e-5)
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    rows = [list(csv.DictReader(text.splitlines())) for text in (file.read_text(), expected)]
    for ours, theirs in zip(*rows, strict=True):
        assert ours["identifier"] == theirs["identifier"]
        assert float(ours["bright"]) == pytest.approx(float(theirs["bright"]), abs=1e-4)


def test_gradients_that_stay_infinite_end_the_training(dataset):
    trainer = started(dataset)
    trainer.on_train_epoch_start()
    batch = next(iter(trainer.dataloader_train))
    trainer.network.linear.weight.register_hook(lambda gradient: gradient * math.inf)
    before = trainer.network.linear.bias.detach().clone()
    with pytest.raises(RuntimeError, match=f"{MOST_IN_A_ROW} steps in a row had a gradient that"):
        for _ in range(MOST_IN_A_ROW):
            trainer.train_step(batch)
    assert torch.equal(trainer.network.linear.bias, before)
