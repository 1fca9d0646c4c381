"""What a run leaves for people to see, for every kind of data."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.cli.report import main as report_command
from nnunetv2_pcrl.monitoring import pretraining_monitor
from nnunetv2_pcrl.monitoring.panels import read_panels
from nnunetv2_pcrl.monitoring.record import read_record, write_record
from nnunetv2_pcrl.training import pretrain_trainer
from nnunetv2_pcrl.training.pretrain_trainer import PCRLv2PretrainTrainer
from nnunetv2_pcrl.weights.sources import read_source

pytestmark = pytest.mark.usefixtures("one_thread")

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
        pcrlv2=section,
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


def log_text(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("training_log*.txt"))


class Tables(HTMLParser):
    """Cells of all rows of a page, and every address that it would load."""

    def __init__(self, text: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self._is_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        self._is_cell = tag in ("td", "th")
        if self._is_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._is_cell = self._is_cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self._is_cell:
            self.rows[-1][-1] += data


def numbers_of_epochs(page: str) -> list[dict[str, float]]:
    rows = Tables(page).rows
    (head,) = [row for row in rows if row[:1] == ["epoch"]]
    start = rows.index(head) + 1
    return [
        {name: float(cell) for name, cell in zip(head, row, strict=True) if cell}
        for row in rows[start : start + 2]
    ]


@pytest.mark.parametrize("kind", SHAPES)
def test_every_product_is_made_and_the_report_says_what_the_log_says(nnunet_folders, kind):
    dataset = make_dataset(nnunet_folders, kind)
    folder = Path(run(dataset).output_folder)
    num_channels, planes = SHAPES[kind][0], 1 if kind == "2d" else 3

    rows, epoch = read_panels(folder)
    per_example = num_channels * planes
    assert epoch == 2 and len(rows) % per_example == 0 and per_example <= len(rows) <= 12
    for row in rows:
        # Input, target, full restoration and one from each of the two levels.
        assert len(row.panels) == 5 and len({panel.image.shape for panel in row.panels}) == 1
        target, full = row.panels[1].image, row.panels[2].image
        np.testing.assert_allclose(row.difference.image, abs(full - target), atol=1e-5)
        assert row.window[0] < row.window[1]
        assert [r.kind for r in row.rectangles] == ["first", "second", "local", "local"]
        for rectangle in row.rectangles:
            stop = np.add(rectangle.start, rectangle.size)
            assert min(rectangle.start) >= 0 and (stop <= row.source.image.shape).all()
    for name in ("progress.png", "restorations.png"):
        picture = imread(folder / name)[..., :3]
        assert min(picture.shape[:2]) > 300 and picture.std() > 0.05

    page = (folder / "report.html").read_text()
    parsed = Tables(page)
    assert all(address.startswith("data:") for address in parsed.addresses)
    assert not {"script", "link"} & set(parsed.tags) and "@import" not in page
    assert page.count('class="chart"') >= 13
    assert str(folder / "pretrained_weights.pth") in page and "TPAMI.2023" in page
    lines = re.findall(r"epoch \d/2: .*", log_text(folder))
    assert len(lines) == 2
    for line, numbers in zip(lines, numbers_of_epochs(page), strict=True):
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


@pytest.mark.parametrize(
    "term, other, restorations", [("restoration", "comparison", False), ("comparison", "res", True)]
)
def test_what_the_loss_leaves_out_is_not_shown_as_if_it_were_trained(
    nnunet_folders, term, other, restorations
):
    dataset = make_dataset(nnunet_folders, "2d", **{f"{term}_weight": 0.0})
    folder = Path(run(dataset).output_folder)
    assert (folder / "restorations.png").exists() == restorations
    page, text = (folder / "report.html").read_text(), log_text(folder)
    assert f">{term} " not in page and f">{other}" in page
    assert (">beta<" in page) == restorations
    assert f"PCRLv2 without {term}: its terms are logged, and are not in the loss" in text
    assert ("WARNING: with a comparison batch of 4" in text) != restorations
    assert read_source(folder / "pretrained_weights.pth").method == f"PCRLv2 without {term}"


def test_neither_probe_nor_pictures_change_the_weights(nnunet_folders):
    runs = []
    for settings in ({"probe_every": 1}, {"probe_every": 0, "restorations_every": 0}):
        trainer = run(make_dataset(nnunet_folders, "2d", **settings), fold=0)
        runs.append({k: v.clone() for k, v in trainer.network.state_dict().items()})
        scores = trainer.logger.get_value("probe_dice", None)
        assert np.isfinite(scores).all() == bool(settings["probe_every"])
    for name, value in runs[0].items():
        assert torch.equal(value, runs[1][name]), name


def test_restoration_errors_are_in_units_of_the_variance(nnunet_folders):
    trainer = run(make_dataset(nnunet_folders, "2d", restorations_every=0, probe_every=0))
    last = {k: v[-1] for k, v in trainer.logger.local_logger.my_fantastic_logging.items() if v}
    expected = last["val_restoration"] / last["val_target_variance"]
    assert last["val_restoration_error"] == pytest.approx(expected, rel=1e-6)
    assert all(last[f"val_restoration_error_level_{level}"] > 0.1 for level in range(2))


def test_without_labels_there_is_no_probe(nnunet_folders):
    dataset = make_dataset(nnunet_folders, "2d", restorations_every=0)
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
        (pretraining_monitor, "draw_restorations"),
        (pretraining_monitor, "probe"),
        (pretrain_trainer, "representation_state"),
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
        "restorations.png",
        "the probe",
        "the state of the representation",
        "the epoch's line in the log",
        "report.html",
    ):
        assert text.count(f"WARNING: {what} failed") == 1, what
    for values in trainer.logger.local_logger.my_fantastic_logging.values():
        assert len(values) in (0, 2)


def test_the_report_is_made_again_and_for_several_runs_side_by_side(
    nnunet_folders, tmp_path, capsys
):
    first = Path(run(make_dataset(nnunet_folders, "2d", restorations_every=0)).output_folder)
    report = first / "report.html"
    expected = numbers_of_epochs(report.read_text())
    report.unlink()
    report_command([str(first.parent), "--figures", "svg"])
    assert numbers_of_epochs(report.read_text()) == expected
    assert (first / "progress.svg").read_text().startswith("<?xml")

    # A run in progress: one of its epochs is over.
    second = tmp_path / "other"
    second.mkdir()
    text = (first / "monitoring.json").read_text()
    (second / "monitoring.json").write_text(text.replace('"fold": "all"', '"fold": "<3>"'))
    record = read_record(second)
    record["logged"] = {name: values[:1] for name, values in record["logged"].items()}
    write_record(second, record)
    report_command([str(first), str(second), "-o", str(tmp_path / "both.html")])
    page = (tmp_path / "both.html").read_text()
    assert "2 runs side by side" in page and "1 of 2 epochs done" in page
    assert "fold &lt;3&gt;" in page and "<3>" not in page
    rows = {row[0]: row[1:] for row in Tables(page).rows if len(row) == 3}
    assert rows["epochs"] == ["2 / 2", "1 / 2"]
    assert rows["batch_size"] == ["4", "4"]
    assert "both.html" in capsys.readouterr().out


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        report_command([str(tmp_path)])
    assert ended.value.code == 1
    assert "no monitoring.json in" in capsys.readouterr().err


def test_a_resumed_run_keeps_its_first_probe_and_goes_on_without_a_record_too(nnunet_folders):
    dataset = make_dataset(nnunet_folders, "2d", restorations_every=0)
    folder = Path(run(dataset).output_folder)
    before = read_record(folder)["probe"]["before_training"]
    assert f"probe before training: {before:.4f}" in log_text(folder)
    checkpoint = str(folder / "checkpoint_final.pth")
    for has_record in (True, False):
        dataset.plans["configurations"]["2d"]["pcrlv2"]["num_epochs"] += 1
        if not has_record:
            (folder / "monitoring.json").unlink()
        trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d", resume=True)
        trainer.load_checkpoint(checkpoint)
        trainer.run_training()
        record = read_record(folder)
        assert ("before_training" in record["probe"]) == has_record
    assert len(record["logged"]["val_losses"]) == 4
    assert "failed" not in log_text(folder)
