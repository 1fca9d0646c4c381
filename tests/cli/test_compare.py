import csv
import json
from html.parser import HTMLParser

import pytest
from results_tree import LENGTH, NAME, ResultsTree, segmentation

from nnunetv2_pcrl.cli.compare import main
from nnunetv2_pcrl.label_folds.table import LabelFold

pytestmark = pytest.mark.slow

SCRATCH, PRETRAINED = "PCRLv2FinetuneTrainer_fromScratch_3epochs", "PCRLv2FinetuneTrainer_3epochs"
# Two repeats with 5 and two with 10 labelled cases.
FOLDS = [LabelFold(5 + n, 0, 5 + 5 * (n // 2), 0.1, n % 2) for n in range(4)]
CASES = ("a", "b", "c")


def predictions(shifts: tuple[int, ...]):
    return {case: segmentation(shift) for case, shift in zip(CASES, shifts, strict=True)}


@pytest.fixture
def tree(nnunet_folders):
    """From scratch: both organs off by 3 with 5 labels, and by 1 with 10; pretrained: by 2."""
    made = ResultsTree(nnunet_folders, FOLDS, predictions((0, 0, 0)))
    for fold in (5, 6):
        made.add_run(SCRATCH, fold, predictions((3, 3, 3)))
        made.add_run(PRETRAINED, fold, predictions((2, 2, 2)))
    made.add_run(SCRATCH, 7, predictions((1, 1, 1)))
    made.add_run(SCRATCH, 8, predictions((1, 1, 1)))
    made.add_run(PRETRAINED, 7, predictions((2, 0, 0)))
    return made


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, content: str):
        super().__init__()
        self.content, self.style, self.text = content, "", ""
        self.sources, self.links, self.rows = [], [], []
        self._tag = ""
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self._tag, attributes = tag, dict(attrs)
        if tag == "img":
            assert attributes["alt"]
            self.sources.append(attributes["src"])
        self.links += [attributes[name] for name in ("href", "srcset") if name in attributes]
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data):
        if self._tag == "style":
            self.style += data
        else:
            self.text += data
        if self._tag in ("td", "th"):
            self.rows[-1].append(data)


def compare(*more: str) -> None:
    main(["-d", "998", "-c", "3d_fullres", *more])


def rows_of(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def row_of(folder, **wanted: str) -> dict[str, str]:
    (row,) = [
        row
        for row in rows_of(folder / "comparison.csv")
        if all(row[name] == value for name, value in wanted.items())
    ]
    return row


@pytest.mark.slow
def test_the_command_writes_tables_and_figures_of_all_finished_runs(tree, capsys):
    tree.add_images()
    compare()
    folder = tree.results / "comparison_3d_fullres_nnUNetPlans"
    figures = ["cases_against_twin", "dice_over_epochs", "dice_over_labels"]
    assert {path.name for path in folder.iterdir()} == {
        "cases.csv",
        "cases_with_10_labels.png",
        "cases_with_5_labels.png",
        "comparison.csv",
        "comparison.html",
        "comparison.md",
        "measured.json",
        *(f"{name}.{ending}" for name in figures for ending in ("png", "svg")),
    }
    # One organ is hit exactly, the other is off by a slice more.
    row = row_of(folder, trainer=PRETRAINED, cases="5", label="mean", metric="dice")
    step = 1 / LENGTH / 2
    assert float(row["mean"]) == pytest.approx(1 - 2 * step, abs=1e-5)
    assert float(row["difference"]) == pytest.approx(step, abs=1e-5)
    assert float(row["difference_case_low"]) == pytest.approx(step, abs=1e-5)
    assert float(row["run_difference"]) == pytest.approx(step, abs=1e-5)
    assert (row["runs_better"], row["paired_runs"], row["twin"]) == ("2", "2", SCRATCH)
    # Three equal differences: 2 of 8 sign patterns.
    assert float(row["wilcoxon_p"]) <= float(row["wilcoxon_p_holm"]) <= 1
    # Half way between the twin's curve at 5 (off by 3) and at 10 (off by 1).
    assert float(row["twin_cases_for_same"]) == pytest.approx(50**0.5, abs=1e-3)
    assert float(row["label_efficiency"]) == pytest.approx(2**0.5, abs=1e-4)
    assert (row["epochs_to_twin_end"], row["runs_that_reach_twin_end"]) == ("3", "2")
    text = (folder / "comparison.md").read_text()
    assert capsys.readouterr().out.startswith(text)
    assert "- runs: 7 of 8 finished; while some are missing" in text
    assert "\n## Labels and epochs saved\n" in text
    assert "| 1.41 [1.41, 1.41] " in text and "| 3 of 3 (2 of 2 runs) " in text
    assert "- validation cases: 3\n- epochs of every training: 3\n\n" in text


@pytest.mark.slow
def test_the_page_holds_tables_figures_and_pictures_and_needs_no_other_file(tree):
    tree.add_images()
    compare()
    folder = tree.results / "comparison_3d_fullres_nnUNetPlans"
    page = Page((folder / "comparison.html").read_text())
    assert page.sources and all(source.startswith("data:image/") for source in page.sources)
    assert not page.links
    # Three figures, and the cases with 5 and with 10 labels.
    assert len(page.sources) == 5
    assert page.rows[0][:4] == ["cases", "trainer", "runs", "Dice"]
    assert ["10", PRETRAINED.removesuffix("_3epochs"), "1 of 2 runs"] in [
        row[:3] for row in page.rows
    ]
    text = " ".join(page.text.split())
    assert "in the direction in which it is larger (not the percentile of both" in text
    assert f"{NAME} 3d_fullres 8 -tr {PRETRAINED}" in text
    styles = page.style
    assert "prefers-color-scheme: dark" in styles and "pre { white-space: pre-wrap" in styles
    assert 'name="viewport"' in page.content


def test_pictures_of_cases_are_left_out_with_a_reason_where_images_are_missing(tree, capsys):
    compare("--no_surface")
    folder = tree.results / "comparison_3d_fullres_nnUNetPlans"
    out = capsys.readouterr().out
    assert "2 pictures of cases are missing:" in out and "nnUNet_raw must hold it" in out
    assert not list(folder.glob("cases_with_*.png"))
    assert len(Page((folder / "comparison.html").read_text()).sources) == 3


def test_runs_with_seeds_are_paired_by_them_and_the_text_says_so(tree):
    seeded = [name.replace("_3epochs", "_seed4_3epochs") for name in (SCRATCH, PRETRAINED)]
    for name, shift in zip(seeded, (3, 1), strict=True):
        tree.add_run(name, 6, predictions((shift,) * 3))
    compare("--no_surface", "--trainers", SCRATCH, seeded[1], "--cases", "5")
    folder = tree.results / "comparison_3d_fullres_nnUNetPlans"
    row = row_of(folder, trainer=PRETRAINED, label="mean", metric="dice")
    # Two of the runs that carry no seed, as before, and one of the seed.
    assert (row["paired_runs"], row["same_seed_runs"]) == ("3", "1")
    text = " ".join((folder / "comparison.md").read_text().split())
    assert "paired by label fold and seed: 1 of 3 pairs share the seed" in text
    assert {row["seed"] for row in rows_of(folder / "cases.csv")} == {"", "4"}
    # Label fold 5 is not begun with a seed by anybody. Seed 4 is no label fold's own number.
    for name in seeded:
        assert f"3d_fullres 5 -tr {name} -p nnUNetPlans" in text


def test_a_missing_run_is_shown_and_does_not_bias_the_difference(tree):
    compare("--no_surface")
    folder = tree.results / "comparison_3d_fullres_nnUNetPlans"
    text = (folder / "comparison.md").read_text()
    assert "| 10    | PCRLv2FinetuneTrainer             | 1 of 2 runs |" in text
    assert f"nnUNetv2_train {NAME} 3d_fullres 8 -tr {PRETRAINED} -p nnUNetPlans\n```" in text
    row = row_of(folder, trainer=PRETRAINED, cases="10", label="mean", metric="dice")
    # Hollow, in the first colour after the twin's.
    hollow = "fill: #ffffff; stroke: #0072b2"
    assert hollow in (folder / "dice_over_labels.svg").read_text()
    # Against the twin on fold 7 alone: one slice worse, one better, one better.
    assert float(row["difference"]) == pytest.approx(1 / LENGTH / 2 / 3, abs=1e-5)
    assert (row["runs"], row["runs_planned"], row["paired_runs"]) == ("1", "2", "1")
    assert row["label_efficiency_bound"] == ">="
    assert row["run_difference_low"] == row["label_efficiency_low"] == ""
    assert {row["metric"] for row in rows_of(folder / "comparison.csv")} == {"dice"}
    # Not a trainer of these label folds at all: every run is missing.
    compare("--no_surface", "--trainers", SCRATCH, "nnUNetTrainer_3epochs", "--cases", "5")
    text = (folder / "comparison.md").read_text()
    assert "- runs: 2 of 4 finished" in text
    assert "| 5     | nnUNetTrainer                     | 0 of 2 runs | missing " in text
    # Nothing is paired now, and the picture of the call before is gone.
    assert (folder / "dice_over_labels.png").exists()
    assert hollow not in (folder / "dice_over_labels.svg").read_text()
    assert not (folder / "cases_against_twin.png").exists()


def test_the_command_of_a_missing_run_does_not_begin_anew_what_is_there(tree):
    trained, interrupted = (tree.folder("nnUNetTrainer_3epochs", fold) for fold in (5, 6))
    for folder, name in ((trained, "checkpoint_final.pth"), (interrupted, "checkpoint_best.pth")):
        folder.mkdir(parents=True)
        (folder / name).touch()
    compare("--no_surface", "--trainers", SCRATCH, "nnUNetTrainer_3epochs")
    text = (tree.results / "comparison_3d_fullres_nnUNetPlans" / "comparison.md").read_text()
    command = "-tr nnUNetTrainer_3epochs -p nnUNetPlans"
    commands = [line.split(" 3d_fullres ")[1] for line in text.splitlines() if command in line]
    assert commands == [f"5 {command} --val", f"6 {command} --c", f"7 {command}", f"8 {command}"]


def test_the_command_of_a_missing_run_names_the_weights_of_the_others(tree, tmp_path):
    weights = tmp_path / "of a pool" / "Dataset190_Pool" / "P__2d" / "fold_0" / "weights.pth"
    for fold in (5, 6, 7):
        report = tree.folder(PRETRAINED, fold) / "transfer_report.json"
        report.write_text(json.dumps({"weights": str(weights), "remarks": []}))
    compare("--no_surface")
    text = (tree.results / "comparison_3d_fullres_nnUNetPlans" / "comparison.md").read_text()
    start = f"nnUNet_pcrl_weights='{weights}' nnUNetv2_train"
    assert f"{start} {NAME} 3d_fullres 8 -tr {PRETRAINED} -p nnUNetPlans\n```" in text
    assert f"started from {weights}; whether it had" in " ".join(text.split())


@pytest.mark.slow
def test_cases_have_a_row_each_and_single_runs_are_told_apart(tree, tmp_path):
    output = tmp_path / "elsewhere"
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    compare("-o", str(output), "--cases", "10", "--twin", PRETRAINED)
    rows = rows_of(output / "cases.csv")
    assert len(rows) == 3 * len(CASES)
    found = {(row["trainer"], row["fold"], row["case"]): row["dice first"] for row in rows}
    assert float(found[PRETRAINED, "7", "a"]) == pytest.approx(1 - 2 / LENGTH, abs=1e-5)
    assert float(found[PRETRAINED, "7", "b"]) == 1
    # Two slices of 2 mm.
    distances = {row["case"]: row["hd95_mm first"] for row in rows if row["trainer"] == PRETRAINED}
    assert float(distances["a"]) == 4
    assert row_of(output, trainer=SCRATCH, label="mean", metric="dice")["twin"] == PRETRAINED
    assert (output / "notes.txt").read_text() == "mine"
    # The same numbers make the same files.
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    compare("-o", str(output), "--cases", "10", "--twin", PRETRAINED)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_label_folds_that_are_not_asked_for_are_not_missing(tree, capsys):
    # The twin has folds 5 to 8, the other lacks fold 8: repeat 1 with 10 labels.
    compare("--no_surface")
    assert "runs: 7 of 8 finished" in capsys.readouterr().out
    compare("--no_surface", "--folds", "0", "--repeats", "1")
    assert "runs: 4 of 4 finished" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no label folds of fold 3, only of 0"):
        compare("--folds", "0", "3")
    with pytest.raises(SystemExit, match="--repeats 0 leaves no label folds"):
        compare("--repeats", "0")


def test_label_folds_of_other_sizes_are_not_those_that_are_asked_for(tree, capsys):
    table = tree.preprocessed / "label_folds.json"
    content = json.loads(table.read_text())
    # A tenth more than 10, of another ordinary fold: one amount, unless sizes are asked for.
    content["label_folds"][3] |= {"num_cases": 11, "of_fold": 1}
    table.write_text(json.dumps(content))
    compare("--no_surface", "--cases", "10")
    assert "runs: 2 of 2 finished" in capsys.readouterr().out
    compare("--no_surface", "--cases", "10", "11")
    assert "| 10-11 |" in capsys.readouterr().out


def test_what_was_looked_for_is_said_where_nothing_is_found(tree):
    with pytest.raises(SystemExit, match=r"No trainer .* label folds \(5 to 8\).*__OtherPlans__3d"):
        compare("-p", "OtherPlans")
    with pytest.raises(SystemExit, match=r"None of the 4 runs .*fold_5.*\n  nnUNetv2_train .* 5 -"):
        compare("--trainers", "nnUNetTrainer")
    with pytest.raises(SystemExit, match="no label folds with 7 cases, only with 5, 10"):
        compare("--cases", "5", "7")
    with pytest.raises(SystemExit, match="--twin"):
        compare("--trainers", PRETRAINED)
    (tree.preprocessed / "label_folds.json").unlink()
    with pytest.raises(SystemExit, match="nnUNetv2_pcrl_label_folds -d Dataset998"):
        compare()
    with pytest.raises(SystemExit, match="ERROR: Data set 997 must be one folder of"):
        main(["-d", "997", "-c", "3d_fullres"])


def test_a_checkpoint_that_cannot_be_read_costs_its_curve_only(tree, capsys):
    for fold in (5, 6):
        (tree.folder(PRETRAINED, fold) / "checkpoint_final.pth").write_bytes(b"cut off")
    compare("--no_surface", "--cases", "5")
    out = capsys.readouterr().out
    assert "finished\n- validation" in out
    assert "2 runs are not in the figure of epochs:" in out
    assert "dice_over_epochs.png" in out
    assert "- runs: 4 of 4 finished" in out


def test_runs_on_other_validation_cases_are_not_compared(tree):
    path = tree.folder(PRETRAINED, 5) / "validation" / "summary.json"
    content = json.loads(path.read_text())
    content["metric_per_case"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match=r"holds 2 cases, the fold validates on 3 \(missing: c"):
        compare("--no_surface")
