"""What a run leaves for people to see, for every kind of data."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from prepared_dataset import PreparedDataset, configuration, smooth_image
from report_page import Page, numbers_of_epochs

from nnunetv2_pcrl.monitoring import pretraining_monitor
from nnunetv2_pcrl.monitoring.panels import read_panels
from nnunetv2_pcrl.monitoring.record import read_record
from nnunetv2_pcrl.trainers import PCRLv2PretrainTrainer
from nnunetv2_pcrl.training import pretrain_trainer

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

SETTINGS = {
    "batch_size": 4,
    "num_epochs": 2,
    "num_iterations_per_epoch": 1,
    "num_val_iterations_per_epoch": 1,
    "num_local": 2,
    "initial_lr": 0.01,
    "probe_every": 1,
}
SHAPES = {
    "2d": (4, 3, 24, 26),
    "3d": (1, 20, 22, 18),
    "anisotropic": (4, 6, 40, 44),
}


def make_dataset(root: Path, kind: str, **settings) -> PreparedDataset:
    section = {**SETTINGS, **settings}
    name = "2d" if kind == "2d" else "3d_fullres"
    changes = {"patch_size": [8, 32, 32], "spacing": [5.0, 0.8, 0.8]}
    values = configuration(
        2 if kind == "2d" else 3,
        nnunetv2_pcrl={"pcrlv2": section},
        **(changes if kind == "anisotropic" else {}),
    )
    if kind == "anisotropic":
        architecture = values["architecture"]["arch_kwargs"]
        architecture["strides"] = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
        architecture["kernel_sizes"] = [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
    shape = SHAPES[kind]
    dataset = PreparedDataset(root / "nnUNet_preprocessed", {name: values}, shape[0])
    for number in range(5):
        dataset.add_case(name, f"case_{number}", smooth_image(shape, number))
    return dataset


def run(dataset: PreparedDataset, fold="all") -> PCRLv2PretrainTrainer:
    (name,) = dataset.plans["configurations"]
    trainer = dataset.trainer(PCRLv2PretrainTrainer, name, fold)
    trainer.run_training()
    trainer.perform_actual_validation()
    return trainer


@pytest.fixture
def no_progress_figure(monkeypatch):
    """Leaves out what takes most of the time of these trainings."""
    monkeypatch.setattr(pretraining_monitor, "draw_progress", lambda *_: None)


def log_text(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("training_log*.txt"))


@pytest.mark.parametrize("kind", SHAPES)
def test_every_product_is_made_and_the_report_says_what_the_log_says(nnunet_folders, kind):
    dataset = make_dataset(nnunet_folders, kind)
    folder = Path(run(dataset).output_folder)
    rows, epoch = read_panels(folder)
    assert epoch == 2 and len(rows) == 12
    assert len({row.case for row in rows}) >= 3
    for row in rows:
        # Input, target, full restoration and one from each of the two levels.
        assert len(row.panels) == 5 and len({panel.image.shape for panel in row.panels}) == 1
        target, full = row.panels[1].image, row.panels[2].image
        np.testing.assert_allclose(row.difference.image, abs(full - target), atol=1e-5)
        assert row.window[0] < row.window[1]
        kinds = [r.kind for r in row.rectangles]
        assert kinds == ["first global view", "second global view", "local", "local"]
        for rectangle in row.rectangles:
            stop = np.add(rectangle.start, rectangle.size)
            assert min(rectangle.start) >= 0 and (stop <= row.source.image.shape).all()
    for name in ("progress.png", "pictures.png"):
        picture = imread(folder / name)[..., :3]
        assert min(picture.shape[:2]) > 300 and picture.std() > 0.05

    page = (folder / "report.html").read_text()
    parsed = Page(page)
    assert all(address.startswith("data:") for address in parsed.addresses)
    assert not {"script", "link"} & set(parsed.tags) and "@import" not in page
    assert page.count('class="chart"') >= 13 and "TPAMI.2023" in page
    assert f"nnUNetv2_train {dataset.folder.name}" in page and "case_0, " in page
    assert str(folder / "pretrained_weights.pth") in page
    lines = re.findall(r"epoch \d/2: .*", log_text(folder))
    assert len(lines) == 2
    for line, numbers in zip(lines, numbers_of_epochs(parsed), strict=True):
        for name, key in (
            ("train_loss", "train_losses"),
            ("val_loss", "val_losses"),
            ("restoration error", "val_restoration_error"),
            ("probe", "probe_dice"),
        ):
            logged = float(re.search(rf"{name} (-?[\d.]+)", line).group(1))
            assert round(numbers[key], 4) == pytest.approx(logged, abs=1.01e-4), name
        spread = float(re.search(r"feature spread at least ([\d.]+)", line).group(1))
        per_level = [v for k, v in numbers.items() if k.startswith("val_feature_spread")]
        assert min(per_level) == pytest.approx(spread, abs=1e-4)


@pytest.mark.usefixtures("no_progress_figure")
@pytest.mark.parametrize(
    "term, other, restorations", [("restoration", "comparison", False), ("comparison", "res", True)]
)
def test_what_the_loss_leaves_out_is_not_shown_as_if_it_were_trained(
    nnunet_folders, term, other, restorations
):
    dataset = make_dataset(nnunet_folders, "2d", **{f"{term}_weight": 0.0})
    folder = Path(run(dataset).output_folder)
    assert (folder / "pictures.png").exists() == restorations
    page, text = (folder / "report.html").read_text(), log_text(folder)
    assert f">{term} " not in page and f">{other}" in page
    assert (">beta<" in page) == restorations
    assert f"PCRLv2 without {term}: its terms are logged, and are not in the loss" in text
    assert ("WARNING: with a comparison batch of 4" in text) != restorations


@pytest.mark.usefixtures("no_progress_figure")
def test_neither_probe_nor_pictures_change_the_weights(nnunet_folders):
    runs = []
    for settings in ({"probe_every": 1}, {"probe_every": 0, "pictures_every": 0}):
        trainer = run(make_dataset(nnunet_folders, "2d", **settings), fold=0)
        runs.append({k: v.clone() for k, v in trainer.network.state_dict().items()})
        scores = trainer.logger.get_value("probe_dice", None)
        assert np.isfinite(scores).all() == bool(settings["probe_every"])
    for name, value in runs[0].items():
        assert torch.equal(value, runs[1][name]), name


@pytest.mark.usefixtures("no_progress_figure")
def test_restoration_errors_are_in_units_of_the_variance(nnunet_folders):
    trainer = run(make_dataset(nnunet_folders, "2d", pictures_every=0, probe_every=0))
    last = {k: v[-1] for k, v in trainer.logger.local_logger.my_fantastic_logging.items() if v}
    expected = last["val_restoration"] / last["val_target_variance"]
    assert last["val_restoration_error"] == pytest.approx(expected, rel=1e-6)
    assert all(last[f"val_restoration_error_level_{level}"] > 0.1 for level in range(2))


@pytest.mark.usefixtures("no_progress_figure")
def test_without_labels_there_is_no_probe(nnunet_folders):
    dataset = make_dataset(nnunet_folders, "2d", pictures_every=0)
    for file in dataset.data_folder("2d").glob("*_seg.b2nd"):
        file.unlink()
    folder = Path(run(dataset).output_folder)
    assert "probe" not in re.sub("'probe_every'.*", "", log_text(folder).split("Epoch 0")[1])
    assert "<h2>Probe</h2>" not in (folder / "report.html").read_text()


def test_failures_of_the_monitoring_are_said_once_and_stop_nothing(nnunet_folders, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError("no room")

    for module, name in (
        (pretraining_monitor, "draw_progress"),
        (pretraining_monitor, "draw_pictures"),
        (pretraining_monitor, "probe"),
        (pretrain_trainer, "epoch_line"),
        (pretrain_trainer, "write_report"),
    ):
        monkeypatch.setattr(module, name, fail)
    trainer = run(make_dataset(nnunet_folders, "2d"))
    folder = Path(trainer.output_folder)
    assert (folder / "checkpoint_final.pth").is_file()
    text = log_text(folder)
    for what in (
        "progress.png",
        "pictures.png",
        "the probe",
        "the epoch's line in the log",
        "report.html",
    ):
        assert text.count(f"WARNING: {what} failed") == 1, what
    for values in trainer.logger.local_logger.my_fantastic_logging.values():
        assert len(values) in (0, 2)


@pytest.mark.usefixtures("no_progress_figure")
def test_a_resumed_run_keeps_its_first_probe_and_goes_on_without_a_record_too(nnunet_folders):
    dataset = make_dataset(nnunet_folders, "2d", pictures_every=0)
    folder = Path(run(dataset).output_folder)
    before = read_record(folder)["probe"]["before_training"]
    assert f"probe before training: {before:.4f}" in log_text(folder)
    checkpoint = str(folder / "checkpoint_final.pth")
    for has_record in (True, False):
        dataset.plans["configurations"]["2d"]["nnunetv2_pcrl"]["pcrlv2"]["num_epochs"] += 1
        if not has_record:
            (folder / "monitoring.json").unlink()
        trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d", resume=True)
        trainer.load_checkpoint(checkpoint)
        trainer.run_training()
        record = read_record(folder)
        assert ("before_training" in record["probe"]) == has_record
    assert len(record["logged"]["val_losses"]) == 4
    assert "failed" not in log_text(folder)
