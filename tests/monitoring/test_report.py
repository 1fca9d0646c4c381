"""What the report says of one run, and of several, from their records alone."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from report_page import Page
from watched_method import SHOWN, logged, record

from nnunetv2_pcrl.cli.report import main as report_command
from nnunetv2_pcrl.monitoring.cards import number_of
from nnunetv2_pcrl.monitoring.comparing import comparing_numbers, comparing_plots
from nnunetv2_pcrl.monitoring.record import write_record
from nnunetv2_pcrl.monitoring.runs import read_runs
from nnunetv2_pcrl.monitoring.verdict import verdict
from nnunetv2_pcrl.monitoring.vocabulary import Card, Chart, Series, Shown, of_every_level


def write_run(folder: Path, values=None, shown: Shown = SHOWN, **changes) -> Path:
    folder.mkdir(parents=True)
    described = {"shown": shown.as_plain(), "warnings": {}, **record(**changes)}
    write_record(folder, {**described, "logged": values or logged()})
    return folder


def page_of(*folders: Path) -> Page:
    output = folders[0] / "page.html"
    report_command([*map(str, folders), "-o", str(output)])
    return Page(output.read_text())


def test_what_a_run_shows_comes_back_from_its_record(tmp_path):
    (run,) = read_runs([write_run(tmp_path / "a")])
    assert run.shown == SHOWN
    assert SHOWN.log_names == ["train_guess", "val_guess", "val_state"]


def test_the_page_explains_itself_and_loads_nothing(tmp_path):
    page = page_of(write_run(tmp_path / "a"))
    assert page.addresses == [] and not {"script", "link"} & set(page.tags)
    for words in (
        "No check found anything wrong so far; some judge after 10 epochs only.",
        "Guessing",
        "how well it guesses",
        "Lower is better.",
        "The guess alone.",
        "Of everything.",
        "nnUNetv2_train Dataset001_A 3d_fullres 0 -tr GuessPretrainTrainer",
        "Fine-tune them with nnUNetv2_train",
        "training: 2",
        "case_a, case_b",
        "A. Author (2026). Guessing.",
    ):
        assert words in page.words, words


def test_the_verdict_says_what_is_wrong_and_what_to_do(tmp_path):
    one = {"waits for data": "40 % of the time the device waits. Give more workers."}
    two = {**one, "collapse": "The representation has collapsed. Lower the rate."}
    runs = read_runs(
        [
            write_run(tmp_path / "one", warnings=one),
            write_run(tmp_path / "two", warnings=two),
            write_run(tmp_path / "none", logged(0)),
            write_run(tmp_path / "long", logged(12)),
        ]
    )
    texts = [verdict(run) for run in runs]
    assert texts[0] == f"Needs attention (waits for data): {one['waits for data']}"
    assert texts[1].startswith("Needs attention: waits for data, collapse.")
    assert texts[2] == "No epoch is finished yet."
    assert texts[3] == "Healthy: no check found anything wrong after 12 epochs."
    words = page_of(tmp_path / "two").words
    assert all(text in words for text in two.values())


def test_cards_compare_numbers_and_not_their_texts():
    # As texts, 9.50 is more than 10.00.
    values = logged(1, val_a=[9.5], val_b=[10.0], val_c=[math.nan])
    card = Card("x", ("val_a", "val_b", "val_c"), "max", ".2f")
    assert number_of(card, values).text == "10.00"
    assert number_of(replace(card, choose="min"), values).text == "9.50"
    assert number_of(Card("x", ("val_c", "unknown")), values) is None


def test_like_runs_are_brought_together_number_by_number(tmp_path):
    folders = [write_run(tmp_path / str(fold), run={"fold": fold}) for fold in (0, 1)]
    runs = read_runs(folders)
    titles = [plot.title for plot in comparing_plots(runs)]
    assert "total loss: validation" in titles and "its state" in titles
    # The training's curve is left out where the validation has one on views that stay the same.
    assert "how well it guesses: guess, validation" in titles
    assert "how well it guesses: guess, training" not in titles
    rows = {row[0]: row[1:] for row in comparing_numbers(runs)}
    assert rows["worst state"] == ["10.00", "10.00"]
    leveled = Chart("x (others dashed)", of_every_level("val_x", 2), levels=True, compared="x")
    shown, values = Shown(charts=(leveled,)), logged(val_x_level_0=[1, 2], val_x_level_1=[3, 6])
    others = [write_run(tmp_path / f"level{n}", values, shown, run={"fold": n}) for n in (0, 1)]
    plot = next(plot for plot in comparing_plots(read_runs(others)) if plot.title == "x")
    assert plot.curves[0].values == (2, 4)
    page = page_of(*folders)
    assert "2 runs side by side" in page.words and ["epochs", "2 / 2", "2 / 2"] in page.rows


def test_losses_of_other_terms_or_weights_are_not_compared(tmp_path):
    other_weight = {"settings": {"batch_size": 4, "guess_weight": 0.5}}
    other_terms = replace(SHOWN, series=(*SHOWN.series, Series("more", is_term=True)))
    first = write_run(tmp_path / "a")
    for folder in (
        write_run(tmp_path / "b", run={"fold": 1}, **other_weight),
        write_run(tmp_path / "c", shown=other_terms, run={"fold": 1}),
    ):
        runs = read_runs([first, folder])
        titles = [plot.title for plot in comparing_plots(runs)]
        assert "its state" in titles and not any("loss" in title for title in titles)
        assert "validation loss" not in [row[0] for row in comparing_numbers(runs)]


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "Other"},
        {"run": {"data set": "Dataset002_B"}},
        {"data": {"normalisation": "x"}},
        {"defining": {"batch_size": 64, "temperature": 0.1}},
    ],
)
def test_runs_of_other_methods_or_data_are_not_compared(tmp_path, changes):
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b", **changes)]
    runs = read_runs(folders)
    assert comparing_plots(runs) == [] and comparing_numbers(runs) == []
    assert "No two of these runs log the same numbers" in page_of(*folders).words


def test_the_probe_is_compared_over_methods_on_the_same_data(tmp_path):
    probed = logged(probe_dice=[0.1, 0.2], probe_dice_per_class=[[0.1], [0.2]])
    runs = read_runs(
        [
            write_run(tmp_path / "a", probed),
            write_run(tmp_path / "b", probed, method="Other", run={"trainer": "Other"}),
            write_run(tmp_path / "c", probed, method="Other", run={"data set": "Dataset002_B"}),
            write_run(tmp_path / "d", method="Without a probe"),
        ]
    )
    (plot,) = comparing_plots(runs)
    assert plot.title.startswith("probe") and len(plot.curves) == 2
    (row,) = comparing_numbers(runs)
    assert row[1:] == ["0.200", "0.200", "", ""]


def test_every_class_of_the_probe_is_named_even_where_it_was_not_sampled(tmp_path):
    probed = logged(probe_dice=[0.1, 0.2], probe_dice_per_class=[[0.1, None], [0.2, None]])
    about = {"classes": ["liver", "tumour"], "fitted": 8, "scored": 4, "before_training": 0.05}
    words = page_of(write_run(tmp_path / "a", probed, probe=about)).words
    assert "0.200 (liver 0.200, tumour not sampled). Before training it was 0.050." in words


def test_pictures_are_those_that_the_run_names_in_its_own_folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    pictures = {"a.png": "Best & worst", "../secret.png": "Not its own", "gone.png": "Gone"}
    folder = write_run(tmp_path / "a", pictures=pictures)
    (folder / "a.png").write_bytes(b"picture")
    page = page_of(folder)
    assert page.addresses == ["data:image/png;base64,cGljdHVyZQ=="]
    assert "Best & worst" in page.words and "Gone" not in page.words


def test_names_from_records_are_text_and_no_html(tmp_path):
    folder = write_run(tmp_path / "a", run={"trainer": "<b>T"}, warnings={"<i>": "<script>"})
    page = page_of(folder)
    assert "script" not in page.tags and "<b>T" in page.words


def test_a_record_that_does_not_describe_itself_is_refused(tmp_path):
    folder = write_run(tmp_path / "a")
    plain = {k: v for k, v in record().items() if k != "method"}
    write_record(folder, {**plain, "logged": logged(), "shown": SHOWN.as_plain()})
    with pytest.raises(ValueError, match=r"monitoring.json does not say .* Make its report with"):
        read_runs([folder])


def test_a_folder_without_a_run_is_refused_in_a_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^ERROR: There is no monitoring.json in .* or below"):
        report_command([str(tmp_path)])


def test_a_place_that_cannot_be_written_is_said_in_a_line(tmp_path):
    folder = write_run(tmp_path / "a")
    with pytest.raises(SystemExit, match="^ERROR: .*nowhere"):
        report_command([str(folder), "-o", str(tmp_path / "nowhere" / "page.html")])


def test_the_figures_are_drawn_again_in_other_formats(tmp_path):
    folder = write_run(tmp_path / "a")
    report_command([str(folder), "--figures", "svg"])
    assert (folder / "progress.svg").read_text().startswith("<?xml")
    assert (folder / "report.html").is_file()
