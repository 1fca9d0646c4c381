"""Tests of classes.csv: what is read, what a policy makes of it, and what is refused."""

import numpy as np
import pytest

from nnunetv2_pcrl.datasets.classes import ClassTable, find_classes, read_classes, write_classes

TABLE = """identifier,patient,age,Atelectasis,Cardiomegaly,Edema
a,p1,58,1,-1,-1.0
b,p1,,0,,1.0
c,,1,-1,0,0
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "classes.csv"
    file.write_text(TABLE)
    return file


def test_a_column_per_class_is_a_multilabel_table_and_descriptions_are_passed_over(path):
    table = read_classes(path)
    assert table.names == ("Atelectasis", "Cardiomegaly", "Edema")
    assert table.kind == "multilabel"
    assert table.identifiers == ("a", "b", "c")
    np.testing.assert_equal(table.targets, [[1, np.nan, np.nan], [0, np.nan, 1], [np.nan, 0, 0]])


def test_a_case_without_a_patient_is_its_own_patient(path):
    assert read_classes(path).patients == ("p1", "p1", "c")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("zeros", [[1, 0, 0], [0, np.nan, 1], [0, 0, 0]]),
        ("ones", [[1, 1, 1], [0, np.nan, 1], [1, 0, 0]]),
        ("mixed", [[1, 0, 1], [0, np.nan, 1], [1, 0, 0]]),
    ],
)
def test_a_policy_says_what_uncertain_means(path, policy, expected):
    np.testing.assert_equal(read_classes(path, policy).targets, expected)


def test_official_lists_are_read_from_the_table_or_from_the_metadata_beside_it(path, tmp_path):
    assert read_classes(path).lists == ("", "", "")
    (tmp_path / "metadata.csv").write_text("identifier,list\na,train_val\nc,test\n")
    assert read_classes(path).lists == ("train_val", "", "test")
    path.write_text("identifier,list,x\na,own,1\n")
    assert read_classes(path).lists == ("own",)


def test_the_table_beside_the_preprocessed_data_comes_before_that_of_the_raw_data(nnunet_folders):
    preprocessed, raw = (
        nnunet_folders / name / "Dataset001_X" for name in ("nnUNet_preprocessed", "nnUNet_raw")
    )
    with pytest.raises(ValueError, match="There is no .*nnUNet_preprocessed.* and no .*nnUNet_raw"):
        find_classes(preprocessed)
    for folder in (raw, preprocessed):
        folder.mkdir()
        (folder / "classes.csv").write_text(TABLE)
        assert find_classes(preprocessed) == folder / "classes.csv"


def test_blank_can_mean_absent(path):
    assert read_classes(path, "zeros", blank="zeros").targets[1, 1] == 0


def test_one_column_class_is_a_multiclass_table_with_unknown_rows(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("identifier,class\na,10\nb,9\nc,\n")
    table = read_classes(path)
    assert (table.names, table.kind) == (("9", "10"), "multiclass")
    np.testing.assert_equal(table.targets, [[0, 1], [1, 0], [np.nan, np.nan]])
    assert table.known().identifiers == ("a", "b")


def test_the_mark_of_a_spreadsheet_and_blank_lines_change_nothing(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("\ufeffidentifier, x\r\na, 1\r\n\r\nb,0", encoding="utf-8")
    table = read_classes(path)
    assert table.names == ("x",)
    np.testing.assert_equal(table.targets, [[1], [0]])


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_a_written_table_is_read_as_it_was(tmp_path, kind):
    targets = np.array([[1, 0], [np.nan, np.nan], [0, 1]])
    table = ClassTable(
        ("a", "b", "c"), ("p", "p", "q"), ("train", "", "test"), ("x", "y, z"), kind, targets
    )
    write_classes(tmp_path / "classes.csv", table)
    read = read_classes(tmp_path / "classes.csv")
    for name in ("identifiers", "patients", "lists", "names", "kind"):
        assert getattr(read, name) == getattr(table, name)
    np.testing.assert_equal(read.targets, targets)


def test_rows_are_chosen_in_the_order_that_is_asked_for(path):
    chosen = read_classes(path).of(["c", "a"])
    assert chosen.identifiers == ("c", "a")
    np.testing.assert_equal(chosen.targets[1], [1, np.nan, np.nan])


def test_a_case_that_is_not_in_the_table_is_named(path):
    with pytest.raises(ValueError, match="1 of 2 cases are not in classes.csv, d among them"):
        read_classes(path).of(["a", "d"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 rows"),
        ("identifier,x\n", "has 0 rows"),
        ("case,x\na,1\n", 'needs rows and one column "identifier"'),
        ("identifier,x,x\na,1,0\n", r"more than one column \['x'\]"),
        ("identifier\na\n", "has no column of a class"),
        ("identifier,x\na,1\na,0\n", "Line 3 .* has a a second time"),
        ("identifier,x\n,1\n", "Line 2 .* has no identifier"),
        ("identifier,x\na,1\nb,2\n", "Line 3 .* has '2' as \"x\""),
        ("identifier,doctor\na,Who\n", "has 'Who' as \"doctor\"; a class is 0, 1, -1 or blank"),
        ("identifier,x\na,1,0\n", "Line 2 .* has 3 fields and the header has 2"),
        ("identifier,class,x\na,u,1\n", 'has the column "class" and more'),
        ("identifier,class\na,u\n", "1 different words"),
    ],
)
def test_a_table_that_is_not_as_it_should_be_is_refused(tmp_path, text, message):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_classes(path)


def test_a_missing_table_and_an_unknown_policy_are_named(tmp_path, path):
    with pytest.raises(ValueError, match="There is no .*classes.csv"):
        read_classes(tmp_path / "nothing" / "classes.csv")
    with pytest.raises(ValueError, match="policy is 'one'; it can be ignore, zeros, ones, mixed"):
        read_classes(path, "one")


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="2 classes do not fit targets of shape"):
        ClassTable(("a",), ("a",), ("",), ("x", "y"), "multilabel", np.zeros((1, 3)))
