"""ChestX-ray14: all spellings of its tables, the official lists, and folds with patients apart."""

from pathlib import Path

import pytest
from shared_data import shared

from nnunetv2_pcrl.datasets.chest_xray14 import find_chest_xray14
from nnunetv2_pcrl.datasets.chest_xray14_tables import (
    FINDINGS,
    read_boxes,
    read_entries,
    read_list,
    years_of,
)
from nnunetv2_pcrl.datasets.layouts import others_of

FIRST = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age"
LAST = "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
# Header and the end of each line, as the known copies have them.
OLD = (f"{FIRST},Patient Gender,{LAST},", ",")
NEW = (f"{FIRST},Patient Sex,{LAST}", "")


def write_table(folder: Path, rows: list[str], copy=NEW, name="Data_Entry_2017.csv") -> Path:
    header, end = copy
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    # Without a newline at the end, as lists and copies come.
    path.write_text("\n".join([header, *(row + end for row in rows)]))
    return path


def row(name: str, findings="No Finding", patient="1", age="58") -> str:
    return f"{name},{findings},0,{patient},{age},M,PA,2682,2749,0.143,0.143"


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("copy", [OLD, NEW], ids=["gender and a last comma", "sex"])
def test_both_headers_are_read_though_their_names_hold_commas(tmp_path, copy):
    path = write_table(tmp_path, [row("00000001_000.png", "Cardiomegaly|Emphysema")], copy)
    entries, odd = read_entries(path)
    entry = entries["00000001_000.png"]
    assert entry.patient == "00000001"
    found = [name for name, value in zip(FINDINGS, entry.findings, strict=True) if value]
    assert found == ["Cardiomegaly", "Emphysema"]
    assert entry.metadata == ("58", "M", "PA", "0") and not odd


@pytest.mark.parametrize(
    ("text", "years"),
    [("58", "58"), ("058Y", "58"), ("58.0", "58"), ("006M", "0.5"), ("", ""), ("old", None)],
)
def test_an_age_is_read_in_years_in_every_spelling(text, years):
    assert years_of(text) == years


def test_an_age_that_is_none_is_told_and_the_image_stays(tmp_path):
    rows = [row("00000001_000.png", age="old"), row("00000002_000.png")]
    entries, odd = read_entries(write_table(tmp_path, rows))
    assert list(entries) == ["00000001_000.png", "00000002_000.png"]
    assert odd == {
        "Data_Entry_2017.csv, ages": "1 cannot be read: 'old' of 00000001_000.png",
    }


def test_a_finding_of_another_name_does_not_become_none_in_silence(tmp_path):
    rows = [
        row("00000001_000.png", "Mass|Tumour"),
        row("00000002_000.png", "Pleural Thickening|Infiltrate"),
        row("00000003_000.png", ""),
    ]
    entries, odd = read_entries(write_table(tmp_path, rows))
    assert odd == {"00000001_000.png": "its findings Tumour are none of the fourteen"}
    values = dict(zip(FINDINGS, entries["00000002_000.png"].findings, strict=True))
    assert values["Pleural_Thickening"] == values["Infiltration"] == 1
    assert set(entries["00000003_000.png"].findings) == {""}


def test_a_row_that_comes_twice_is_told_and_the_first_one_counts(tmp_path):
    rows = [row("00000001_000.png", "Mass"), row("00000001_000.png", "Hernia")]
    entries, odd = read_entries(write_table(tmp_path, rows))
    assert entries["00000001_000.png"].findings[FINDINGS.index("Mass")] == 1
    assert "twice" in odd["00000001_000.png"]


@pytest.fixture
def source(tmp_path):
    """Ten patients with two images each; the last two patients are those of the official test."""
    names = [f"{patient:08d}_{image:03d}.png" for patient in range(10) for image in range(2)]
    write_table(tmp_path / "CXR8", [row(name, patient=str(int(name[:8]))) for name in names])
    touch(tmp_path / "CXR8" / "images_001" / "images", *names[:10])
    touch(tmp_path / "CXR8" / "images_002" / "images", *names[10:])
    (tmp_path / "CXR8" / "train_val_list.txt").write_text("\n".join(names[:16]))
    (tmp_path / "CXR8" / "test_list.txt").write_text("\n".join(names[16:]))
    return tmp_path / "CXR8"


def test_the_official_lists_decide_and_folds_keep_patients_apart(source):
    benchmark = find_chest_xray14(source)
    assert sorted(c.identifier for c in benchmark.cases if c.is_test) == [
        "00000008_000",
        "00000008_001",
        "00000009_000",
        "00000009_001",
    ]
    assert set(benchmark.folds) == {c.identifier for c in benchmark.cases if not c.is_test}
    folds_of_patients = {}
    for identifier, fold in benchmark.folds.items():
        folds_of_patients.setdefault(identifier[:8], set()).add(fold)
    assert all(len(folds) == 1 for folds in folds_of_patients.values())
    assert set(benchmark.folds.values()) == set(range(5))
    assert benchmark.tables["classes.csv"][0] == ("identifier", "patient", *FINDINGS)
    assert {r[-1] for r in benchmark.tables["metadata.csv"][1:]} == {"train_val", "test"}
    assert not benchmark.odd and not benchmark.missing


def test_images_of_neither_list_are_told_and_left_out(source):
    (source / "train_val_list.txt").write_text("\n".join(f"0000000{p}_000.png" for p in range(8)))
    benchmark = find_chest_xray14(source)
    assert "00000000_001" not in {case.identifier for case in benchmark.cases}
    path = source / "images_001" / "images" / "00000000_001.png"
    assert benchmark.odd[str(path)] == "it is in neither official list"
    assert not others_of(source, benchmark)


def test_an_image_of_an_odd_row_is_told_with_its_reason(source):
    table = source / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("No Finding", "Tumour", 1))
    benchmark = find_chest_xray14(source)
    path = source / "images_001" / "images" / "00000000_000.png"
    assert benchmark.odd == {str(path): "its findings Tumour are none of the fourteen"}
    assert len(benchmark.cases) == 19 and not others_of(source, benchmark)


def test_without_lists_all_images_are_training_cases_and_this_is_told(source):
    for name in ("train_val_list.txt", "test_list.txt"):
        (source / name).unlink()
    benchmark = find_chest_xray14(source)
    assert not any(case.is_test for case in benchmark.cases)
    assert (
        "all images are training cases" in benchmark.missing["train_val_list.txt and test_list.txt"]
    )
    assert {r[-1] for r in benchmark.tables["metadata.csv"][1:]} == {""}


def test_one_list_is_enough(source):
    (source / "test_list.txt").unlink()
    assert sum(case.is_test for case in find_chest_xray14(source).cases) == 4


def test_images_that_come_twice_or_without_a_row_are_told(source):
    touch(source / "copy", "00000001_000.png", "00000099_000.png", "._00000001_000.png")
    odd = find_chest_xray14(source).odd
    assert odd == {
        str(source / "images_001" / "images" / "00000001_000.png"): (
            f"the same image as {source / 'copy' / '00000001_000.png'}"
        ),
        str(source / "copy" / "00000099_000.png"): "it is not in the table",
    }


def test_the_newer_table_is_taken_where_both_are_there(source):
    rows = [row(f"{p:08d}_{i:03d}.png", "Hernia") for p in range(10) for i in range(2)]
    write_table(source, rows, name="Data_Entry_2017_v2020.csv")
    benchmark = find_chest_xray14(source)
    assert {r[-1] for r in benchmark.tables["classes.csv"][1:]} == {1}
    assert len(benchmark.known) == 4


def test_a_table_without_its_images_is_one_line(source):
    for path in source.rglob("*.png"):
        path.unlink()
    with pytest.raises(ValueError, match="None of the 20 images of .* Unpack images_001") as error:
        find_chest_xray14(source)
    assert "\n" not in str(error.value)


def test_boxes_are_read_though_the_header_has_more_fields_than_the_rows(tmp_path):
    path = tmp_path / "BBox_List_2017.csv"
    lines = [
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000001_000.png,Infiltrate,225.08,547.01,86.7,79.1,,,",
        "00000002_000.png,Mass,1,2,3,4",
        "00000001_000.png,Mass,1,2,3",
    ]
    path.write_text("\n".join(lines))
    rows, odd = read_boxes(path, {"00000001_000.png"})
    assert rows[1:] == [("00000001_000", "Infiltration", "225.08", "547.01", "86.7", "79.1")]
    assert list(odd) == ["BBox_List_2017.csv, line 4"]


def test_the_real_lists_are_read_whole_and_apart():
    train = read_list(shared("data", "tables", "NIH_ChestXray14", "train_val_list.txt"))
    test = read_list(shared("data", "tables", "NIH_ChestXray14", "test_list.txt"))
    assert (len(train), len(test)) == (86524, 25596)
    assert not {name[:8] for name in train} & {name[:8] for name in test}


def test_the_real_table_and_boxes_are_read():
    folder = shared("data", "tables", "NIH_ChestXray14")
    entries, odd = read_entries(folder / "Data_Entry_2017_first300_age_sex_blanked.csv")
    assert len(entries) == 300 and not odd
    assert entries["00000001_001.png"].metadata == ("50", "M", "PA", "1")
    rows, odd = read_boxes(folder / "BBox_List_2017.csv", read_list(folder / "test_list.txt"))
    assert len(rows) - 1 == 984 and not odd
