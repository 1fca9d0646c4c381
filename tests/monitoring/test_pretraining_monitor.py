"""What the monitor draws and writes of any method, here of one that doubles images."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from watched_method import WatchedMethod, WatchedSettings, logged, watched_run

from nnunetv2_pcrl.monitoring import pretraining_monitor
from nnunetv2_pcrl.monitoring.panels import read_panels
from nnunetv2_pcrl.monitoring.pictures_figure import draw_pictures
from nnunetv2_pcrl.monitoring.pretraining_monitor import PretrainingMonitor
from nnunetv2_pcrl.monitoring.record import read_record
from nnunetv2_pcrl.monitoring.vocabulary import Shown

# Array axes (z, y, x) that run to the head, to the back and to the left, as most CTs do.
LPS = {"sitk_stuff": {"direction": (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)}}
SIZES = {"2d": (16, 20), "3d": (12, 16, 20), "anisotropic": (4, 16, 20)}


@pytest.fixture
def undrawn(monkeypatch):
    """Spares drawing where the numbers behind the pictures are looked at."""
    for name in ("draw_progress", "draw_pictures"):
        monkeypatch.setattr(pretraining_monitor, name, lambda *arguments: None)


def write_cases(folder, write_case, shape, names="abcd", properties=LPS) -> None:
    random = np.random.default_rng(0)
    for name in names:
        write_case(folder, name, random.normal(size=shape).astype(np.float32))
        with open(folder / f"{name}.pkl", "wb") as file:
            pickle.dump(properties, file)


def pictures_of(run, epochs=2):
    PretrainingMonitor(run).after_epoch(logged(epochs), {})
    return read_panels(run.output_folder)[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIZES)
def test_pictures_and_progress_and_record_are_made_of_any_data(tmp_path, write_case, kind):
    size = SIZES[kind]
    write_cases(tmp_path, write_case, (1, 14, 30, 40))
    spacing = {"2d": (0.8, 0.8), "3d": (1.0, 1.0, 1.0), "anisotropic": (5.0, 0.8, 0.8)}[kind]
    run = watched_run(tmp_path, "abcd", WatchedMethod(size), spacing=spacing)
    rows = pictures_of(run)
    # Several cases, each in all of its planes.
    planes = 1 if kind == "2d" else 3
    assert len(rows) == 4 * planes and len({row.case for row in rows}) == 4
    for row in rows:
        target, doubled = row.panels
        np.testing.assert_allclose(doubled.image, 2 * target.image, rtol=1e-6)
        np.testing.assert_allclose(row.difference.image, abs(target.image), rtol=1e-6)
        assert [r.kind for r in row.rectangles] == ["the view", "parts", "parts"]
        assert [r.name for r in row.rectangles] == ["", "a", "b"]
        # What the source shows inside the view's box is the target.
        (row_start, column_start), (height, width) = row.rectangles[0].start, row.rectangles[0].size
        inside = row.source.image[row_start : row_start + height, column_start:][:, :width]
        np.testing.assert_array_equal(inside, target.image)
    assert rows[0].label[:3] == ("axial", "anterior up", "left on the right")
    if kind == "anisotropic":
        coronal = next(row for row in rows if row.label[0] == "coronal")
        assert coronal.label[1] == "superior up"
        assert coronal.source.aspect == pytest.approx(5.0 / 0.8)
    for name in ("progress.png", "pictures.png"):
        assert imread(tmp_path / name)[..., :3].std() > 0.05
    record = read_record(tmp_path)
    assert Shown.from_plain(record["shown"]) == run.shown


@pytest.mark.usefixtures("undrawn")
def test_superior_is_up_and_the_patients_left_is_right(tmp_path, write_case):
    # Brighter towards the head, and in the left half more than in the right one.
    z, _, x = np.meshgrid(range(12), range(16), range(20), indexing="ij")
    write_case(tmp_path, "a", (10 * z + x)[None].astype(np.float32))
    with open(tmp_path / "a.pkl", "wb") as file:
        pickle.dump(LPS, file)
    rows = pictures_of(watched_run(tmp_path, "a", WatchedMethod((12, 16, 20))))
    coronal = next(row for row in rows if row.label[0] == "coronal").source.image
    assert (np.diff(coronal, axis=0) < 0).all() and (np.diff(coronal, axis=1) > 0).all()


@pytest.mark.usefixtures("undrawn")
def test_the_source_has_its_own_window_and_the_rest_that_of_the_target(tmp_path, write_case):
    image = np.zeros((1, 4, 30, 40), np.float32)
    image[..., :2] = 1000.0
    image[:, :, 8:22, 10:30] += np.random.default_rng(0).normal(size=(1, 4, 14, 20))
    write_case(tmp_path, "a", image)
    rows = pictures_of(watched_run(tmp_path, "a", WatchedMethod((8, 8))))
    assert rows[0].source_window[1] > 900 and rows[0].window[1] < 10


@pytest.mark.usefixtures("undrawn")
def test_four_channels_are_shown_in_one_plane_per_case_and_colours_as_one_picture(
    tmp_path, write_case
):
    write_cases(tmp_path, write_case, (4, 14, 30, 40))
    channels = ["T1", "T1ce", "T2", "FLAIR"]
    run = watched_run(tmp_path, "abcd", WatchedMethod((12, 16, 20)), channels=channels)
    rows = pictures_of(run)
    assert len(rows) == 12 and len({row.case for row in rows}) == 3
    assert [row.label[0] for row in rows[:4]] == [f"axial, {name}" for name in channels]
    assert rows[4].label[0] == "coronal, T1"

    colour = tmp_path / "colour"
    colour.mkdir()
    write_cases(colour, write_case, (3, 1, 30, 40), properties={})
    run = watched_run(colour, "abcd", WatchedMethod((16, 20)), channels=["R", "G", "B"])
    rows = pictures_of(run)
    assert rows[0].label == () and rows[0].panels[0].image.shape == (16, 20, 3)


@pytest.mark.usefixtures("undrawn")
def test_tables_beside_the_pictures_are_kept(tmp_path, write_case):
    write_cases(tmp_path, write_case, (1, 14, 30, 40))
    rows = pictures_of(watched_run(tmp_path, "abcd", WatchedMethod((16, 20), has_matrix=True)))
    (matrix,) = rows[0].matrices
    draw_pictures(rows, 2, tmp_path / "tables.svg")
    assert "overlap" in (tmp_path / "tables.svg").read_text()
    assert matrix.title == "overlap" and matrix.columns == ("b", "c")
    np.testing.assert_array_equal(matrix.values, [[0, 1]])


@pytest.mark.usefixtures("undrawn")
def test_equal_seeds_show_equal_views_and_unusable_cases_are_left_out(tmp_path, write_case):
    write_cases(tmp_path, write_case, (1, 14, 30, 40), names="ab")
    (tmp_path / "c.b2nd").write_bytes(b"damaged")
    methods = [WatchedMethod((16, 20)) for _ in range(3)]
    for method, seed in zip(methods, (0, 0, 1), strict=True):
        settings = WatchedSettings(seed=seed)
        pictures_of(watched_run(tmp_path, "abc", method, settings=settings))
    first, same, other = ([views["views"] for views in method.seen] for method in methods)
    assert len(first) == 2
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.slow
def test_a_method_without_pictures_and_a_run_without_them_have_none(tmp_path, write_case):
    write_cases(tmp_path, write_case, (1, 14, 30, 40))
    method = WatchedMethod((16, 20))
    method.pictures = lambda network, drawn, views: None
    settings = WatchedSettings(pictures_every=0)
    for run in (
        watched_run(tmp_path, "abcd", method),
        watched_run(tmp_path, "abcd", WatchedMethod((16, 20)), settings=settings),
    ):
        PretrainingMonitor(run).after_epoch(logged(), {})
        assert (tmp_path / "progress.png").is_file() and not (tmp_path / "pictures.png").exists()


def test_failures_are_said_once_and_modules_keep_their_mode(tmp_path, write_case, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError("no room")

    for name in ("draw_progress", "draw_pictures", "probe"):
        monkeypatch.setattr(pretraining_monitor, name, fail)
    said: list[str] = []
    write_cases(tmp_path, write_case, (1, 14, 30, 40))
    for name in "abcd":
        write_case(tmp_path, f"{name}_seg", np.ones((1, 14, 30, 40), np.float32))
    classes = {0: "background", 1: "organ"}
    run = watched_run(tmp_path, "abcd", WatchedMethod((16, 20)), said=said, classes=classes)
    run.network.train()
    run.network.teacher = torch.nn.Dropout().eval()
    monitor = PretrainingMonitor(run)
    for _ in range(2):
        assert monitor.probe(1) is None
        monitor.after_epoch(logged(), {"waits for data": "Give more workers.", "gone": ""})
    assert [text.split(" failed")[0] for text in said] == [
        "WARNING: the probe",
        "WARNING: progress.png",
        "WARNING: pictures.png",
    ]
    assert run.network.training and not run.network.teacher.training
    assert read_record(tmp_path)["warnings"] == {"waits for data": "Give more workers."}


@pytest.mark.usefixtures("undrawn")
def test_a_probe_without_any_label_says_so_once(tmp_path, write_case):
    said = []
    for name in "abcd":
        write_case(tmp_path, name, np.ones((1, 4, 32, 32), np.float32))
        write_case(tmp_path, f"{name}_seg", np.zeros((1, 4, 32, 32), np.float32))
    classes = {0: "background", 1: "organ"}
    run = watched_run(tmp_path, "abcd", WatchedMethod((16, 16)), said=said, classes=classes)
    monitor = PretrainingMonitor(run)
    assert monitor.probe_before_training() is None and monitor.probe(0) is None
    (text,) = said
    assert "too few cases hold a label" in text and "0 to fit it to" in text


@pytest.mark.usefixtures("undrawn")
def test_the_probe_is_kept_over_a_resume_and_names_its_classes(tmp_path, write_case):
    random = np.random.default_rng(0)
    for name in "abcd":
        image = random.normal(size=(1, 4, 32, 32)).astype(np.float32)
        write_case(tmp_path, name, image)
        write_case(tmp_path, f"{name}_seg", (image > 0).astype(np.float32))
    classes = {0: "background", 1: "bright", 3: "never there"}
    run = watched_run(tmp_path, "abcd", WatchedMethod((16, 16)), classes=classes)
    monitor = PretrainingMonitor(run)
    score = monitor.probe_before_training()
    assert score.mean > 0.9 and len(score.per_class) == 2 and np.isnan(score.per_class[1])
    monitor.after_epoch(logged(1), {})
    earlier = read_record(tmp_path)
    assert earlier["probe"]["classes"] == ["bright", "never there"]
    resumed = PretrainingMonitor(replace(run), earlier)
    resumed.after_epoch(logged(2), {})
    assert read_record(tmp_path)["probe"]["before_training"] == pytest.approx(score.mean)
