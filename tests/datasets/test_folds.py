"""Folds with patients apart, and those that a benchmark prescribes."""

import json

import pytest
from raw_images import mr_array, write_dataset

from nnunetv2_pcrl.cli.plan_and_preprocess import main as plan_and_preprocess
from nnunetv2_pcrl.datasets.folds import patient_folds, splits_of, take_over_folds, write_folds
from nnunetv2_pcrl.datasets.xray_tables import rarest_findings


def test_no_patient_is_in_two_folds_and_folds_are_of_about_equal_size():
    # Patient n has n images.
    patients = {f"{n}_{i}": str(n) for n in range(1, 21) for i in range(n)}
    folds = patient_folds(patients)
    assert set(folds) == set(patients)
    of_patient = {}
    for case, fold in folds.items():
        of_patient.setdefault(patients[case], set()).add(fold)
    assert all(len(found) == 1 for found in of_patient.values())
    sizes = [list(folds.values()).count(number) for number in range(5)]
    assert sum(sizes) == 210 and max(sizes) < 1.2 * min(sizes)
    assert patient_folds(dict(reversed(patients.items()))) == folds


def test_every_fold_has_its_share_of_every_stratum_with_patients_apart():
    # Patients of two images; every fifth has the rare stratum.
    patients = {f"{n}_{i}": str(n) for n in range(100) for i in range(2)}
    strata = {case: 0 if int(patients[case]) % 5 == 0 else 1 for case in patients}
    folds = patient_folds(patients, strata)
    for stratum, total in ((0, 40), (1, 160)):
        counts = [
            sum(folds[case] == number for case in patients if strata[case] == stratum)
            for number in range(5)
        ]
        assert counts == [total // 5] * 5
    assert all(folds[f"{n}_0"] == folds[f"{n}_1"] for n in range(100))


def test_a_stratum_of_fewer_cases_than_folds_is_no_hindrance():
    patients = {str(n): str(n) for n in range(12)}
    assert set(patient_folds(patients, {c: int(c == "3") for c in patients}).values()) == set(
        range(5)
    )
    assert len(patient_folds(patients, {case: int(case) for case in patients})) == 12


def test_the_stratum_of_an_image_is_its_rarest_finding():
    findings = {"a": (1, 0, 1), "b": (1, 0, 0), "c": ("1.0", "-1.0", ""), "d": ("", "0.0", 0)}
    assert rarest_findings(findings) == {"a": 2, "b": 0, "c": 0, "d": 3}
    assert rarest_findings({}) == {}


@pytest.mark.parametrize(("num_patients", "num_folds"), [(0, 0), (1, 0), (2, 2), (3, 3), (9, 5)])
def test_there_are_no_more_folds_than_patients(num_patients, num_folds):
    folds = patient_folds({str(n): str(n) for n in range(num_patients)})
    assert len(set(folds.values())) == num_folds


def test_each_fold_is_validated_once_and_absent_numbers_are_passed_over():
    assert splits_of({"a": 0, "b": 7, "c": 3, "d": 0}) == [
        {"train": ["b", "c"], "val": ["a", "d"]},
        {"train": ["a", "b", "d"], "val": ["c"]},
        {"train": ["a", "c", "d"], "val": ["b"]},
    ]
    assert splits_of({"a": 2, "b": 2}) == []


def test_unusable_cases_are_left_out_and_folds_that_are_there_are_kept(tmp_path):
    source, target = tmp_path / "raw", tmp_path / "preprocessed"
    source.mkdir()
    target.mkdir()
    take_over_folds(source, target, {"a"})
    assert not list(target.iterdir())
    write_folds(source / "splits_final.json", {"a": 0, "b": 1, "c": 1, "d": 2})
    take_over_folds(source, target, {"a", "b"})
    expected = [{"train": ["b"], "val": ["a"]}, {"train": ["a"], "val": ["b"]}]
    assert json.loads((target / "splits_final.json").read_text()) == expected
    take_over_folds(source, target, {"a", "b", "c", "d"})
    assert json.loads((target / "splits_final.json").read_text()) == expected


def test_the_preparation_takes_them_over(nnunet_folders):
    cases = {name: [mr_array(n)] for n, name in enumerate("abc")}
    folder = write_dataset(nnunet_folders / "nnUNet_raw", "Dataset007_Folds", cases)
    write_folds(folder / "splits_final.json", {"a": 0, "b": 1, "c": 1})
    plan_and_preprocess(["-d", "7", "-c", "2d", "-np", "1"])
    path = nnunet_folders / "nnUNet_preprocessed" / folder.name / "splits_final.json"
    assert [split["val"] for split in json.loads(path.read_text())] == [["a"], ["b", "c"]]
