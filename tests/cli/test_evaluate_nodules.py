"""nnUNetv2_pcrl_evaluate_nodules: from scored candidates to the score, the curve and messages."""

import json

import numpy as np
import pytest
from published import read_csv, write_csv
from shared_data import shared

from nnunetv2_pcrl.cli.evaluate_nodules import main
from nnunetv2_pcrl.datasets.positions import DIAMETER, PROBABILITY, read_positions, write_positions

POSITION = ["seriesuid", "coordX", "coordY", "coordZ"]


@pytest.fixture
def files(tmp_path):
    """Two nodules, an irrelevant finding, and a scan with marks only."""
    write_csv(
        tmp_path / "annotations.csv",
        [[*POSITION, "diameter_mm"], ["a", 0, 0, 0, 10], ["b", 0, 0, 0, 10], ["d", 0, 0, 0, 10]],
    )
    write_csv(
        tmp_path / "annotations_excluded.csv",
        [[*POSITION, "diameter_mm"], ["a", 50, 0, 0, -1]],
    )
    write_csv(
        tmp_path / "scores.csv",
        [
            [*POSITION, "probability"],
            ["a", 1, 0, 0, 0.9],
            ["a", 2, 0, 0, 0.8],
            ["a", 51, 0, 0, 0.95],
            ["b", 99, 0, 0, 0.7],
            ["c", 99, 0, 0, 0.6],
            ["b", 0, 0, 0, 0.5],
        ],
    )
    (tmp_path / "all.csv").write_text("a\nb\nc\nd")
    return tmp_path


def run(folder, *more: str) -> dict:
    scores, annotations = folder / "scores.csv", folder / "annotations.csv"
    arguments = [str(scores), str(annotations), "-o", str(folder / "out"), "--resamples", "50"]
    main([*arguments, *more])
    return json.loads((folder / "out" / "summary.json").read_text())


def test_scores_become_a_curve_and_a_summary(files, capsys):
    summary = run(files)
    assert (summary["num_scans"], summary["num_nodules"], summary["num_found"]) == (3, 2, 2)
    assert (summary["num_ignored"], summary["num_double"]) == (1, 1)
    assert summary["num_false_positives"] == 2
    # Found at no false positive, and at 2 of 3 scans.
    rates = summary["sensitivity"]
    assert [rates[rate] for rate in ("0.125", "0.5", "1")] == [0.5, 0.5, 1.0]
    assert [row["sensitivity"] for row in read_csv(files / "out" / "froc.csv")][-1] == "1.0"
    assert (files / "out" / "froc.png").stat().st_size > 1000
    text = capsys.readouterr().out
    assert "1 scans with nodules are left out: they have no scores" in text
    assert f"{summary['cpm']:.4f}" in text and "95 % interval" in text


def test_a_list_of_scans_counts_those_without_scores_too(files, capsys):
    summary = run(files, "--seriesuids", str(files / "all.csv"))
    assert (summary["num_scans"], summary["num_nodules"], summary["num_found"]) == (4, 3, 2)
    assert "left out" not in capsys.readouterr().out


def test_without_a_list_of_irrelevant_findings_marks_on_them_are_false_and_this_is_said(
    files, capsys
):
    (files / "annotations_excluded.csv").unlink()
    summary = run(files)
    assert summary["num_false_positives"] == 3 and summary["excluded"] is None
    assert "count as false positives" in capsys.readouterr().out


def test_tables_of_our_converter_are_read_too(files):
    header = ["identifier", *POSITION[1:], "voxelX", "diameter_mm"]
    write_csv(files / "annotations.csv", [header, ["a", 0, 0, 0, 7, 10]])
    assert run(files)["num_found"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scores.csv", "seriesuid,coordX\na,1\n", "no column coordY, coordZ, probability"),
        ("scores.csv", ",".join([*POSITION, "probability"]) + "\na,1,2,3,x\n", "Line 2 of"),
        ("scores.csv", ",".join([*POSITION, "probability"]) + "\na,1,2,3,nan\n", "not finite"),
        ("scores.csv", ",".join([*POSITION, "probability"]) + "\n", "There are no scores"),
        ("annotations.csv", "", "has no column seriesuid"),
        ("annotations.csv", ",".join([*POSITION, "diameter_mm"]) + "\n", "There is no nodule"),
    ],
)
def test_tables_that_cannot_be_judged_are_one_line(files, name, content, message):
    (files / name).write_text(content)
    with pytest.raises(SystemExit, match=message) as error:
        run(files)
    assert "\n" not in str(error.value)


def test_the_real_annotations_are_found_by_marks_in_their_centres(tmp_path):
    folder = shared("data", "tables", "LUNA16")
    nodules = read_positions(folder / "annotations.csv", DIAMETER)
    # Every other nodule gets a mark that is just within its radius, the others one at it.
    part = np.where(np.arange(len(nodules)) % 2, 1.0001, 0.9999)
    points = nodules.points_mm + [[1, 0, 0]] * (part * nodules.values / 2)[:, None]
    marks = type(nodules)(nodules.scans, points, np.ones(len(nodules)))
    write_positions(tmp_path / "scores.csv", marks, PROBABILITY)
    main(
        [
            str(tmp_path / "scores.csv"),
            str(folder / "annotations.csv"),
            "-o",
            str(tmp_path / "out"),
            "--seriesuids",
            str(folder / "seriesuids.csv"),
            "--resamples",
            "20",
        ]
    )
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["num_scans"], summary["num_scans_without_nodules"]) == (888, 287)
    assert summary["num_nodules"] == 1186 and summary["num_marks"] == 1186
    # A few marks beyond their nodule lie in another one.
    assert 593 <= summary["num_found"] <= 610
