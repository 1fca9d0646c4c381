import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from nnunetv2_pcrl.tasks.segmentation import case_figure
from nnunetv2_pcrl.tasks.segmentation.case_figure import (
    COLOURS,
    CaseBlock,
    CaseFigure,
    draw_case_figure,
    outline,
    score_lines,
)
from nnunetv2_pcrl.tasks.segmentation.case_slices import SliceRow

REGIONS = {(1, 2): "whole tumour", (2,): "core", (7,): "nowhere"}


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """All texts of the figures that are drawn."""
    texts = []
    save = Figure.savefig

    def noting(figure, *args, **kwargs):
        texts.extend(text.get_text() for ax in figure.axes for text in ax.texts)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(case_figure.Figure, "savefig", noting)
    return texts


def figure_of(edges=("A", "P", "R", "L"), case="case_1", ignore_label=None) -> CaseFigure:
    reference, prediction = np.zeros((2, 20, 30), int)
    reference[5:15, 5:15] = 1
    reference[8:12, 8:12] = 2
    prediction[5:15, 7:17] = 1
    image = np.full((20, 30), 0.5)
    row = SliceRow(("axial", "slice 3 of 9"), edges, 1.0, image, (reference, prediction))
    block = CaseBlock("worst", case, (("Dice 0.700", "whole tumour 0.80  core 0.60"),), (row,))
    columns = ("FLAIR", "reference", "prediction")
    return CaseFigure("Title", "subtitle", columns, REGIONS, (block,), ignore_label)


def test_an_outline_runs_between_the_voxels():
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    lines = {tuple(map(tuple, line)) for line in outline(mask).tolist()}
    assert lines == {((2, 1), (3, 1)), ((2, 2), (3, 2)), ((2, 1), (2, 2)), ((3, 1), (3, 2))}


def test_an_outline_is_closed_at_the_ends_of_the_image():
    # Perimeter of 3 x 4 voxels.
    assert len(outline(np.ones((3, 4), bool))) == 14
    assert len(outline(np.zeros((3, 4), bool))) == 0


def test_the_picture_names_cases_planes_sides_and_all_regions_that_are_drawn(tmp_path, written):
    draw_case_figure(figure_of(), tmp_path / "cases.png")
    for text in ("worst", "case_1", "axial", "slice 3 of 9", *"APRL", "FLAIR", "Dice 0.700"):
        assert text in written
    assert "whole tumour" in written and "core" in written
    assert "nowhere" not in written
    assert any(text.startswith("Slices of the reference") for text in written)


def test_colours_of_the_picture_are_those_of_the_regions_in_both_columns(tmp_path):
    path = tmp_path / "cases.png"
    draw_case_figure(figure_of(), path)
    pixels = imread(path)[..., :3]

    def share_of(colour: str, column: int) -> float:
        value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        cell = case_figure.WIDE_CELL + case_figure.GAP
        left = round(110 * (case_figure.LABEL + column * cell))
        top = round(110 * (case_figure.HEAD + case_figure.BLOCK_HEAD))
        shown = pixels[top : top + 180, left : left + round(110 * case_figure.WIDE_CELL)]
        return float((np.abs(shown - value).max(-1) < 0.02).mean())

    whole, core = COLOURS[:2]
    assert share_of(whole, 0) == share_of(core, 0) == 0
    assert share_of(whole, 1) > 0 and share_of(core, 1) > 0
    # The core was missed: only the white line of the reference is there.
    assert share_of(whole, 2) > 0 and share_of(core, 2) == 0
    assert share_of("#ffffff", 2) > 0


def test_without_a_direction_no_side_is_named_and_the_picture_says_so(tmp_path, written):
    draw_case_figure(figure_of(edges=("",) * 4), tmp_path / "cases.png")
    assert not set("APRL") & set(written)
    assert any("the files name no direction" in text for text in written)


def test_ignored_parts_have_a_name_and_long_names_are_shortened(tmp_path, written):
    long = "1.3.6.1.4.1.14519.5.2.1.6279.6001." + "9" * 30
    draw_case_figure(figure_of(case=long, ignore_label=9), tmp_path / "cases.svg")
    assert "ignored in the reference" in written
    assert any(text.startswith("1.3.6.1") and "…" in text for text in written)


def test_scores_of_few_labels_stand_beside_the_mean():
    assert score_lines("Dice", 0.5, {"a": 0.25, "b": 0.75}) == ("Dice 0.500", "a 0.25  b 0.75")
    assert score_lines("Dice", 0.5, {"a": 0.5}) == ("Dice 0.500",)
    regions = {"whole tumor": 0.17, "tumor core": 0.25, "enhancing tumor": 0.11}
    scores = ("whole tumor 0.17", "tumor core 0.25", "enhancing tumor 0.11")
    assert score_lines("Dice", 0.5, regions) == ("Dice 0.500", *scores)
    assert score_lines("Dice", 0.5, dict.fromkeys("abcde", 0.5)) == ("Dice 0.500",)
    assert score_lines("Dice", 0.25, {"a": 0.25, "b": float("nan")})[1] == "a 0.25"
