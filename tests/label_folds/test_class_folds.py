"""Folds and label folds of classes: patients together, classes in their shares."""

import json
from collections import Counter

import numpy as np
import pytest
from labelled_dataset import write_labelled

from nnunetv2_pcrl.datasets.classes import ClassTable, write_classes
from nnunetv2_pcrl.label_folds.appending import append_label_folds
from nnunetv2_pcrl.label_folds.class_folds import (
    class_labels,
    patient_folds,
    patients_in_both,
    strata_of,
    stratified_order,
)
from nnunetv2_pcrl.label_folds.request import Request

NAME = "Dataset007_Classified"


def table_of(num_cases=240, per_patient=3, kind="multilabel", seed=0) -> ClassTable:
    """Cases of patients; class a in a quarter of them, b in a tenth."""
    random = np.random.default_rng(seed)
    cases = tuple(f"case_{n:03d}" for n in range(num_cases))
    patients = tuple(f"patient_{n // per_patient}" for n in range(num_cases))
    targets = (random.random((num_cases, 2)) < (0.25, 0.1)).astype(float)
    if kind == "multiclass":
        targets = np.eye(2)[targets[:, 0].astype(int)]
    return ClassTable(cases, patients, ("",) * num_cases, ("a", "b"), kind, targets)


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_no_patient_is_in_two_folds_and_every_fold_has_its_share_of_the_classes(kind):
    table = table_of(kind=kind)
    folds = patient_folds(table)
    assert len(folds) == 5
    validated = [case for fold in folds for case in fold["val"]]
    assert sorted(validated) == list(table.identifiers)
    for fold in folds:
        assert patients_in_both(table, fold) == []
        assert sorted(fold["train"] + fold["val"]) == list(table.identifiers)
        assert len(fold["val"]) == pytest.approx(48, abs=6)
        shares = table.of(fold["val"]).targets.mean(0)
        np.testing.assert_allclose(shares, table.targets.mean(0), atol=0.05)


def test_folds_do_not_depend_on_the_order_of_the_rows():
    table = table_of()
    turned = table.of(table.identifiers[::-1])
    assert patient_folds(turned) == patient_folds(table)


def test_a_class_of_two_cases_does_not_prevent_folds():
    table = table_of()
    targets = np.zeros_like(table.targets)
    targets[[0, 100], 0] = 1
    rare = ClassTable(
        table.identifiers, table.patients, table.lists, table.names, table.kind, targets
    )
    assert len(patient_folds(rare)) == 5


def test_folds_of_very_few_cases_keep_patients_together_all_the_same():
    table = table_of(10, 2)
    few = np.array([[n % 3 == 0, n % 3 == 1] for n in range(10)], dtype=float)
    table = ClassTable(
        table.identifiers, table.patients, table.lists, ("a", "b"), "multilabel", few
    )
    folds = patient_folds(table)
    assert [len(fold["val"]) for fold in folds] == [2] * 5
    assert all(patients_in_both(table, fold) == [] for fold in folds)


def test_fewer_patients_than_folds_are_refused_with_the_remedy():
    with pytest.raises(
        ValueError, match="5 folds need at least 5 patients, classes.csv has 4.*all"
    ):
        patient_folds(table_of(12))


def test_patients_on_both_sides_of_a_fold_are_named():
    table = table_of(6, 2)
    split = {"train": ["case_000", "case_002", "unknown"], "val": ["case_001", "case_004"]}
    assert patients_in_both(table, split) == ["patient_0"]


def test_a_case_counts_as_one_of_the_rarest_class_that_it_has():
    targets = np.array([[1, 0], [1, 1], [0, 0], [np.nan, np.nan], [1, np.nan]])
    cases = tuple("vwxyz")
    table = ClassTable(cases, cases, ("",) * 5, ("often", "seldom"), "multilabel", targets)
    assert strata_of(table).tolist() == [0, 1, 2, 2, 0]
    assert class_labels(table)["w"] == {"often", "seldom"}
    assert class_labels(table)["z"] == {"often"}
    assert class_labels(table)["x"] == {"no often", "no seldom"}


def test_every_beginning_of_an_order_has_about_the_classes_shares_and_whole_patients():
    table = table_of(600, 3)
    order = stratified_order(table, 0, 0, 0)
    assert sorted(order) == list(table.identifiers)
    for count in (60, 120, 300):
        shares = table.of(order[:count]).targets.mean(0)
        np.testing.assert_allclose(shares, table.targets.mean(0), atol=0.08)
    patients = [table.patients[table.identifiers.index(case)] for case in order]
    assert all(len(set(patients[n : n + 3])) == 1 for n in range(0, 600, 3))


def test_seed_fold_and_repeat_alone_decide_the_order():
    table = table_of(30, 1)
    order = stratified_order(table, 1, 2, 3)
    assert stratified_order(table.of(table.identifiers[::-1]), 1, 2, 3) == order
    for numbers in ((0, 2, 3), (1, 0, 3), (1, 2, 0)):
        assert stratified_order(table, *numbers) != order


@pytest.fixture
def dataset(nnunet_folders):
    """40 preprocessed cases without any label to segment, with classes."""
    values = {f"case_{n:03d}": [] for n in range(40)}
    folder = write_labelled(nnunet_folders / "nnUNet_preprocessed", NAME, values, {"background": 0})
    write_classes(folder / "classes.csv", table_of(40, 2))
    return folder


def append(dataset, nnunet_folders, **request):
    return append_label_folds(dataset, nnunet_folders / "nnUNet_results", Request(**request), 1)


def test_without_labels_to_segment_label_folds_are_those_of_the_classes(dataset, nnunet_folders):
    appended = append(dataset, nnunet_folders, counts=(4, 12), folds=(0, 1), repeats=2)
    assert appended.role == "Classification"
    splits = json.loads((dataset / "splits_final.json").read_text())
    table = table_of(40, 2)
    assert splits[:5] == patient_folds(table)
    assert len(splits) == 5 + 8
    for fold in appended.folds:
        part, whole = splits[fold.fold], splits[fold.of_fold]
        assert part["val"] == whole["val"]
        assert set(part["train"]) < set(whole["train"])
        assert len(part["train"]) == fold.num_cases
    # Already four cases are with and without each class.
    for fold in (f for f in appended.folds if f.num_cases == 4):
        targets = table.of(splits[fold.fold]["train"]).targets
        assert (targets.min(0) == 0).all() and (targets.max(0) == 1).all()
    assert not appended.warnings


def test_scans_with_candidates_are_drawn_with_and_without_nodules(dataset, nnunet_folders):
    (dataset / "classes.csv").unlink()
    rows = [f"case_{n:03d},0,0,0,{int(n % 4 == 0)}" for n in range(36)]
    text = "\n".join(["identifier,coordX,coordY,coordZ,class", *rows])
    (dataset / "candidates.csv").write_text(text)
    appended = append(dataset, nnunet_folders, counts=(2, 8), folds=(0,), repeats=3)
    assert appended.role == "Nodule" and not appended.warnings
    splits = json.loads((dataset / "splits_final.json").read_text())
    # Scans without candidates are in a fold as well.
    assert sum(len(split["val"]) for split in splits[:5]) == 40
    for fold in appended.folds:
        with_nodule = [int(case[-3:]) % 4 == 0 for case in splits[fold.fold]["train"]]
        assert 0 < sum(with_nodule) < len(with_nodule)


def test_draws_of_classes_differ(dataset, nnunet_folders):
    appended = append(dataset, nnunet_folders, counts=(8,), folds=(0,), repeats=3)
    splits = json.loads((dataset / "splits_final.json").read_text())
    counts = Counter(case for fold in appended.folds for case in splits[fold.fold]["train"])
    assert len(counts) > 8


def test_a_data_set_with_both_is_drawn_by_classes_only_if_asked_for(nnunet_folders):
    values = {f"case_{n:03d}": [1] for n in range(20)}
    root = nnunet_folders / "nnUNet_preprocessed"
    folder = write_labelled(root, NAME, values, {"background": 0, "organ": 1})
    write_classes(folder / "classes.csv", table_of(20, 2))
    assert append(folder, nnunet_folders, counts=(3,)).role == "Finetune"
    (folder / "splits_final.json").unlink()
    (folder / "label_folds.json").unlink()
    assert append(folder, nnunet_folders, counts=(3,), by_classes=True).role == "Classification"


def test_a_training_case_without_a_known_class_is_named(dataset, nnunet_folders):
    append(dataset, nnunet_folders, counts=(3,), folds=(0,), repeats=1)
    write_classes(dataset / "classes.csv", table_of(38, 2))
    with pytest.raises(ValueError, match="training cases have no known class.*case_038 among them"):
        append(dataset, nnunet_folders, counts=(4,), folds=(0, 1, 2, 3, 4), repeats=1)


def test_classes_that_are_asked_for_and_not_there_are_missed(dataset, nnunet_folders):
    (dataset / "classes.csv").unlink()
    with pytest.raises(ValueError, match="There is no .*classes.csv"):
        append(dataset, nnunet_folders, counts=(3,), by_classes=True)
    with pytest.raises(ValueError, match="nothing to segment with fewer labels"):
        append(dataset, nnunet_folders, counts=(3,))
