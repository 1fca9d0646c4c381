"""CheXpert: all layouts of its releases, and its tables as published."""

import csv
from pathlib import Path

import pytest
from shared_data import shared

from nnunetv2_pcrl.datasets.chexpert import FINDINGS, find_chexpert
from nnunetv2_pcrl.datasets.layouts import others_of

HEADER = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS]
TRAIN = [f"patient{n:05d}/study{s}/view1_frontal.jpg" for n in range(1, 7) for s in (1, 2)]
VALID = [f"patient{n}/study1/view1_frontal.jpg" for n in (64541, 64542)]
FULL = "CheXpert-v1.0 batch"
LAYOUTS = {
    "small": lambda n: f"CheXpert-v1.0-small/train/{TRAIN[n]}",
    "full": lambda n: f"CheXpert-v1.0/train/{TRAIN[n]}",
    "renamed": lambda n: f"xrays/train/{TRAIN[n]}",
    "batches": lambda n: f"{FULL} {2 + n // 4} (train {1 + n // 4})/{TRAIN[n]}",
    "wrapped": lambda n: f"CheXpert-v1.0/CheXpert-v1.0/train/{TRAIN[n]}/{Path(TRAIN[n]).name}",
    "PNG": lambda n: f"CheXpert-v1.0/train/{TRAIN[n][:-4]}.png",
}


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def write_table(path: Path, names: list[str], values=("1.0", "", "0.0", "-1.0")) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [*values, *[""] * (len(FINDINGS) - len(values))]
    with open(path, "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(HEADER)
        part = path.stem
        for name in names:
            lines.writerow([f"CheXpert-v1.0/{part}/{name}", "Male", "60", "Frontal", "AP", *cells])


def write_release(source: Path, layout: str) -> None:
    for number in range(len(TRAIN)):
        touch(source / LAYOUTS[layout](number))
    first = (
        f"{FULL} 1 (validate & csv)" if layout == "batches" else LAYOUTS[layout](0).split("/")[0]
    )
    for name in VALID:
        touch(source / first / "valid" / name)
    write_table(source / first / "train.csv", TRAIN)
    write_table(source / first / "valid.csv", VALID)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_are_found_in_every_layout(tmp_path, layout):
    write_release(tmp_path, layout)
    benchmark = find_chexpert(tmp_path)
    found = {case.identifier: case for case in benchmark.cases}
    assert len(found) == 14 and sum(case.is_test for case in found.values()) == 2
    assert found["patient64541_study1_view1_frontal"].is_test
    assert str(found["patient00002_study2_view1_frontal"].images[0]).endswith(
        LAYOUTS[layout](3).removeprefix("CheXpert-v1.0")
    )
    assert not benchmark.odd and not benchmark.missing and not others_of(tmp_path, benchmark)


def test_classes_are_kept_as_published_and_patients_come_from_the_path(tmp_path):
    write_release(tmp_path, "small")
    tables = find_chexpert(tmp_path).tables
    header, first, *_ = tables["classes.csv"]
    assert header == ("identifier", "patient", *FINDINGS)
    assert first[:6] == (
        "patient00001_study1_view1_frontal",
        "patient00001",
        "1.0",
        "",
        "0.0",
        "-1.0",
    )
    header, first, *_ = tables["metadata.csv"]
    assert header == ("identifier", "patient", "age_years", "sex", "view", "projection", "list")
    assert first[2:] == ("60", "Male", "Frontal", "AP", "train")


def test_folds_keep_patients_apart(tmp_path):
    write_release(tmp_path, "small")
    folds = find_chexpert(tmp_path).folds
    assert len(folds) == len(TRAIN) and set(folds.values()) == set(range(5))
    for patient in range(1, 7):
        of_patient = {f for i, f in folds.items() if i.startswith(f"patient{patient:05d}")}
        assert len(of_patient) == 1


def test_a_download_without_training_images_is_one_line_with_the_known_layouts(tmp_path):
    write_release(tmp_path, "batches")
    for path in tmp_path.glob("*train*/*/*/*.jpg"):
        path.unlink()
    with pytest.raises(ValueError, match=r"None of the 12 .* batch 1 \(validate & csv\)") as error:
        find_chexpert(tmp_path)
    assert "\n" not in str(error.value)


def test_one_batch_is_a_part_whose_missing_images_are_no_odd_ones(tmp_path):
    write_release(tmp_path, "batches")
    for path in tmp_path.glob("*(train 3)*/*/*/*.jpg"):
        path.unlink()
    (tmp_path / f"{FULL} 1 (validate & csv)" / "valid.csv").unlink()
    benchmark = find_chexpert(tmp_path)
    assert len(benchmark.cases) == 8
    assert len(benchmark.missing) == 5 and "valid.csv" in benchmark.missing
    # The images of valid.csv are there, but nothing says that they are.
    assert len(benchmark.odd) == 2


def test_odd_values_doubles_and_unnamed_images_are_told(tmp_path):
    write_release(tmp_path, "small")
    root = tmp_path / "CheXpert-v1.0-small"
    write_table(root / "train.csv", [*TRAIN[1:], TRAIN[1]])
    write_table(root / "valid.csv", VALID, ("2.0",))
    touch(tmp_path / "again" / TRAIN[1])
    odd = find_chexpert(tmp_path).odd
    assert sorted(odd.values()) == [
        "a finding is '2.0', not 1, 0, -1 or blank",
        "a finding is '2.0', not 1, 0, -1 or blank",
        "no table names it",
        f"the same image as {root / 'train' / TRAIN[1]}",
        "the tables name it twice, and its first row is used",
    ]


def test_the_published_header_is_read(tmp_path):
    path = shared("data", "tables", "CheXpert_layout", "train_layout_made_up_rows.csv")
    (tmp_path / "train.csv").write_bytes(path.read_bytes())
    with open(path, newline="") as file:
        names = [row["Path"] for row in csv.DictReader(file)]
    for name in names:
        touch(tmp_path / Path(*Path(name).parts[1:]))
    benchmark = find_chexpert(tmp_path)
    assert benchmark.tables["classes.csv"][0] == ("identifier", "patient", *FINDINGS)
    assert len(benchmark.cases) == len(names) and not benchmark.odd
