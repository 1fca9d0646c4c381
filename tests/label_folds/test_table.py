"""The table of label folds: numbers that go into folders and commands are numbers."""

import json

import pytest

from nnunetv2_pcrl.label_folds.files import read_table
from nnunetv2_pcrl.label_folds.table import LabelFold, read_label_folds

ROW = {"fold": 5, "of_fold": 0, "num_cases": 4, "fraction": 0.1, "repeat": 0}


def write(folder, content) -> None:
    (folder / "label_folds.json").write_text(json.dumps(content))


def test_rows_are_read_as_they_are(tmp_path):
    write(tmp_path, {"label_folds": [ROW, {**ROW, "fold": 6, "fraction": 1}]})
    assert read_label_folds(tmp_path) == (LabelFold(5, 0, 4, 0.1, 0), LabelFold(6, 0, 4, 1, 0))


@pytest.mark.parametrize(
    "change",
    [
        *({"fold": value} for value in ("../../x", "5", "all", -1, 5.0, True, None, 10**12, [5])),
        *({"of_fold": value} for value in ("0", -1)),
        *({name: "1; touch x"} for name in ("num_cases", "fraction", "repeat")),
        {"fraction": True},
        {"more": 1},
    ],
    ids=str,
)
def test_numbers_that_are_none_are_refused_with_the_file(tmp_path, change):
    write(tmp_path, {"label_folds": [{**ROW, **change}]})
    with pytest.raises(ValueError, match=r"label_folds.json is no table of label folds \("):
        read_label_folds(tmp_path)


@pytest.mark.parametrize(
    "content", [[], 3, "x", None, {}, {"label_folds": 3}, {"label_folds": ["x"]}], ids=str
)
def test_another_content_is_refused_with_the_file(tmp_path, content):
    write(tmp_path, content)
    with pytest.raises(ValueError, match=r"label_folds.json is no table of label folds \("):
        read_label_folds(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "label_folds.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"label_folds.json is no table of label folds \("):
        read_label_folds(tmp_path)


@pytest.mark.parametrize("number", ["x", "-1", "1.5"])
def test_digests_of_folds_that_are_no_numbers_are_refused(tmp_path, number):
    write(tmp_path, {"label_folds": [ROW], "seed": 0, "digests": {number: "a"}})
    with pytest.raises(ValueError, match="was not written by nnUNetv2_pcrl_label_folds"):
        read_table(tmp_path)
