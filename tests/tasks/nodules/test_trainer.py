"""The nodule trainer: what it sees, learns and leaves behind, on thick slices."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from nodule_dataset import NODULES, OTHERS, nodule_dataset
from ranks import run_on_ranks

from nnunetv2_pcrl.cli.predict_nodules import main as predict_nodules
from nnunetv2_pcrl.datasets.positions import PROBABILITY, read_positions
from nnunetv2_pcrl.tasks.encoder.augmentation import augmentation_of
from nnunetv2_pcrl.trainers import PCRLv2NoduleTrainer

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


@pytest.fixture
def dataset(preprocessed):
    return nodule_dataset(preprocessed)


def started(dataset, fold=0, trainer=PCRLv2NoduleTrainer):
    """A training that has done everything up to its first step."""
    trainer = dataset.trainer(trainer, "3d_fullres", fold)
    trainer.on_train_start()
    return trainer


def trained(dataset, fold=0, trainer=PCRLv2NoduleTrainer, resume=False):
    trainer = dataset.trainer(trainer, "3d_fullres", fold, resume)
    trainer.run_training()
    return trainer


def logged(trainer) -> dict[str, list]:
    return trainer.logger.local_logger.my_fantastic_logging


def log_text(trainer) -> str:
    return "".join(p.read_text() for p in Path(trainer.output_folder).glob("training_log*.txt"))


def section_of(dataset) -> dict:
    return dataset.plans["configurations"]["3d_fullres"]["nnunetv2_pcrl"]["nodules"]


def test_it_trains_and_leaves_scores_the_challenges_score_and_a_report(dataset):
    trainer = trained(dataset)
    trainer.perform_actual_validation()
    folder = Path(trainer.output_folder)
    for name in ("checkpoint_final.pth", "checkpoint_best.pth", "progress.png", "monitoring.json"):
        assert (folder / name).is_file(), name
    scores = read_positions(folder / "validation" / "scores.csv", PROBABILITY)
    table = read_positions(dataset.folder / "candidates.csv", "class").of(trainer.split.val_scans)
    assert scores.scans == table.scans
    np.testing.assert_array_equal(scores.points_mm, table.points_mm)
    assert ((scores.values > 0) & (scores.values < 1)).all()
    summary = json.loads((folder / "validation" / "summary.json").read_text())
    assert 0 <= summary["cpm_interval"][0] <= summary["cpm"] <= summary["cpm_interval"][1] <= 1
    assert summary["num_scans"] == len(trainer.split.val_scans) == 2
    assert set(summary["classes"]) == {"nodule"}
    assert summary["about"]["checkpoint"] == "checkpoint_final.pth"
    for name in ("froc.csv", "froc.png"):
        assert (folder / "validation" / name).is_file()
    page = (folder / "validation" / "report.html").read_text()
    assert page.count("data:image/png;base64") == 3
    assert "<h1>Nodule candidates</h1>" in page and "10 candidates in 2 scans" in page
    assert "CPM" in log_text(trainer)
    record = json.loads((folder / "monitoring.json").read_text())
    assert record["cases"]["validation"] == list(trainer.split.val_scans)
    assert all(math.isfinite(loss) for loss in logged(trainer)["train_losses"])


@pytest.mark.slow
def test_it_learns_to_tell_balls_from_vessels(preprocessed):
    dataset = nodule_dataset(
        preprocessed, 6, num_epochs=10, num_iterations_per_epoch=10, initial_lr=3e-3, dropout=0.0
    )
    trainer = trained(dataset, "all")
    values = logged(trainer)
    assert values["train_losses"][-1] < 0.7 * values["train_losses"][0]
    trainer.perform_actual_validation()
    summary = json.loads((Path(trainer.output_folder) / "validation/summary.json").read_text())
    assert summary["mean"]["auroc"] > 0.9
    # The last scan has nodules and no candidates, which counts as not found.
    assert (summary["num_scans"], summary["num_nodules"], summary["num_found"]) == (6, 12, 10)


def test_a_scan_without_candidates_counts_and_its_nodules_are_missed(dataset):
    trainer = started(dataset, "all")
    assert "1.2.9" in trainer.split.val_scans
    assert "1.2.9" not in trainer.split.val.patients
    assert len(trainer.split.val) == 9 * (len(NODULES) + len(OTHERS))


def test_it_begins_with_the_odds_of_a_batch(preprocessed):
    dataset = nodule_dataset(preprocessed, 6, negatives_per_positive=3)
    trainer = started(dataset)
    assert trainer.network.linear.bias.item() == pytest.approx(math.log(1 / 3))
    batch = next(trainer.dataloader_train)
    assert batch["target"].sum() == 1 and len(batch["target"]) == 4
    loss = trainer.train_step(batch)["loss"]
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert loss == pytest.approx(entropy, abs=1e-5)


def test_a_candidate_stays_in_the_centre_voxel_of_what_is_drawn_and_of_what_is_seen(dataset):
    section_of(dataset)["max_shift_mm"] = 0.0
    trainer = started(dataset)
    size = trainer.input_size()
    # Thick slices, and no axis like another in the end.
    assert size[0] < size[2]
    name = trainer.split.train.identifiers[0]
    seen = next(trainer.reader().inputs(name))[1]
    drawn = trainer.training_reader().drawn(name, torch.Generator())
    assert all(n % 2 == m % 2 for n, m in zip(drawn.shape[1:], size, strict=True))
    assert drawn.shape[2] > size[1]
    # One bright voxel in the place of the candidate, through an augmentation that does nothing.
    marked = torch.zeros_like(drawn)
    marked[(0, *(n // 2 for n in drawn.shape[1:]))] = 1
    augment = augmentation_of(trainer, trainer.settings, size, "nodules")
    # Slices are turned in their plane: to 2D, turned, and back.
    to_slices, spatial, to_volume = augment.transforms.transforms[:3]
    spatial.p_rotation = spatial.p_scaling = 0
    data = {"image": marked}
    for transform in (to_slices, spatial, to_volume):
        data = transform(**data)
    place = np.unravel_index(int(data["image"][0].argmax()), size)
    assert place == tuple(n // 2 for n in size)
    assert seen.shape[1:] == size


def test_cubes_are_shifted_by_whole_voxels_and_their_centre_stays_in_the_nodule(dataset):
    section_of(dataset)["max_shift_mm"] = 2.0
    trainer = started(dataset)
    name = trainer.split.train.identifiers[0]
    reader = trainer.training_reader()
    cubes = [reader.drawn(name, torch.Generator().manual_seed(seed)) for seed in range(30)]
    centres = [float(cube[(0, *(n // 2 for n in cube.shape[1:]))]) for cube in cubes]
    assert min(centres) > 1
    # A slice is thicker than the shift, so that the draws are those within a slice: 5 by 5.
    assert 10 < len({round(float(cube.double().sum()), 6) for cube in cubes}) <= 25


@pytest.mark.slow
def test_it_goes_on_as_if_it_had_never_stopped(dataset):
    whole = dataset.trainer(PCRLv2NoduleTrainer, "3d_fullres", 0)
    whole.save_every = 1
    whole.on_train_start()
    _epoch(whole)
    checkpoint = str(Path(whole.output_folder) / "checkpoint_latest.pth")
    rest = dataset.trainer(PCRLv2NoduleTrainer, "3d_fullres", 0, True)
    rest.load_checkpoint(checkpoint)
    rest.on_train_start()
    for trainer in (whole, rest):
        _epoch(trainer)
    assert logged(rest)["train_losses"] == logged(whole)["train_losses"]


def _epoch(trainer) -> None:
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    steps = range(trainer.num_iterations_per_epoch)
    trainer.on_train_epoch_end([trainer.train_step(next(trainer.dataloader_train)) for _ in steps])
    with torch.no_grad():
        trainer.on_validation_epoch_start()
        outputs = [trainer.validation_step(next(trainer.dataloader_val))]
        trainer.on_validation_epoch_end(outputs)
    trainer.on_epoch_end()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 5}, '"batch_size" 5 .* no multiple of 2, .* Use 4'),
        ({"cube_mm": 2.0}, r'"cube_mm" 2 .* a single one, .* Use 4 or more'),
        ({"cube": 2.0}, 'unknown setting .*"cube" .did you mean "cube_mm"'),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_step(preprocessed, settings, message):
    dataset = nodule_dataset(preprocessed, 5, **settings)
    with pytest.raises(ValueError, match=message):
        started(dataset)


def test_missing_tables_are_named_with_the_remedy(dataset):
    table = dataset.folder / "candidates.csv"
    text = table.read_text()
    table.unlink()
    with pytest.raises(ValueError, match="no .*candidates.csv.*nnUNetv2_pcrl_convert_luna16"):
        started(dataset)
    table.write_text(text.replace("1.2.", "x."))
    with pytest.raises(ValueError, match="have no candidate: none of . scans is in the table"):
        started(dataset)
    table.write_text(text.replace(",1\n", ",2\n"))
    with pytest.raises(ValueError, match="have another class than 0 or 1, first 1.2.0 with 2"):
        started(dataset)


@pytest.mark.slow
def test_without_annotations_there_is_no_score_of_the_challenge_and_it_is_said(dataset):
    (dataset.folder / "annotations.csv").unlink()
    trainer = trained(dataset)
    trainer.perform_actual_validation()
    summary = json.loads((Path(trainer.output_folder) / "validation/summary.json").read_text())
    assert summary["cpm"] is None
    assert "no annotations.csv" in summary["about"]["score of the challenge"]
    assert 0 <= summary["mean"]["auroc"] <= 1


@pytest.mark.slow
def test_candidates_of_other_scans_are_scored_as_in_the_validation(dataset, nnunet_folders):
    trainer = trained(dataset)
    trainer.perform_actual_validation()
    images = nnunet_folders / "validated"
    images.mkdir()
    for scan in trainer.split.val_scans:
        name = f"{scan}_0000.nii.gz"
        (images / name).symlink_to(nnunet_folders / "scans" / name)
    output = nnunet_folders / "scores.csv"
    arguments = ["-i", images, "--candidates", dataset.folder / "candidates.csv", "-o", output,
                 "-d", dataset.folder.name, "-c", "3d_fullres", "-f", 0, "-npp", 0,
                 "-device", "cpu"]  # fmt: skip
    predict_nodules(list(map(str, arguments)))
    expected = Path(trainer.output_folder) / "validation" / "scores.csv"
    found, there = (read_positions(path, PROBABILITY) for path in (output, expected))
    assert found.scans == there.scans
    np.testing.assert_allclose(found.values, there.values, atol=1e-4)
    with open(output, newline="") as file:
        assert next(csv.reader(file)) == ["seriesuid", "coordX", "coordY", "coordZ", "probability"]


def _train_on_this_rank(dataset) -> list[float]:
    trainer = dataset.trainer(PCRLv2NoduleTrainer, "3d_fullres", 0)
    # As the launcher does: nnU-Net takes for granted that there are GPUs.
    trainer.device, trainer.grad_scaler = torch.device("cpu"), None
    trainer.run_training()
    trainer.perform_actual_validation()
    return logged(trainer)["train_losses"]


@pytest.mark.slow
def test_processes_share_batches_and_the_scoring(dataset):
    section_of(dataset)["dropout"] = 0.0
    alone = _train_on_this_rank(dataset)
    (file,) = (dataset.folder.parents[1] / "nnUNet_results").rglob("scores.csv")
    expected = read_positions(file, PROBABILITY)
    file.unlink()
    for losses in run_on_ranks(_train_on_this_rank, 2, dataset):
        assert losses == pytest.approx(alone, rel=1e-5)
    np.testing.assert_allclose(read_positions(file, PROBABILITY).values, expected.values, atol=1e-4)
