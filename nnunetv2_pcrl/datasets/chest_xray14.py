"""NIH ChestX-ray14: images_001 to images_012 with PNG images, and Data_Entry_2017.csv."""

from pathlib import Path

from nnunetv2_pcrl.datasets.conversion import Benchmark, SourceCase
from nnunetv2_pcrl.datasets.raw import NATURAL_READER, UNLABELLED, read_table

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
CLASSES = "classes.csv"


def find_chest_xray14(source: Path) -> Benchmark:
    """Finds the images and the table of findings, which is kept as classes.csv.

    Images of test_list.txt are test images. Some images are stored as RGBA: the conversion makes
    them grey.

    Raises:
        ValueError: if the table is missing or empty.
    """
    tables = sorted(source.rglob("Data_Entry_2017*.csv"))
    if not tables:
        raise ValueError(f"There is no Data_Entry_2017.csv in {source}.")
    entries = {row["Image Index"]: row for row in read_table(tables[0], "Image Index")}
    lists = sorted(source.rglob("test_list*.txt"))
    test_names = set(lists[0].read_text(encoding="utf-8").split()) if lists else set()
    files = {path.name: path for path in sorted(source.rglob("*.png"))}
    files = {name: path for name, path in files.items() if not name.startswith(".")}
    odd = {name: "it is not in Data_Entry_2017.csv" for name in sorted(set(files) - set(entries))}
    missing = sorted(set(entries) - set(files))
    odd |= {name: "there is no such file" for name in missing}
    names = sorted(set(files) & set(entries))
    rows = [("identifier", "patient", "age", "sex", "view", *FINDINGS)]
    rows += [_row(name, entries[name]) for name in names]
    return Benchmark(
        "ChestX-ray14",
        ("X-ray",),
        UNLABELLED,
        [SourceCase(name[:-4], (files[name],), is_test=name in test_names) for name in names],
        86524 if lists else 112120,
        25596 if lists else 0,
        odd=odd,
        size=(1024, 1024),
        reader=NATURAL_READER,
        tables={CLASSES: rows},
    )


def _row(name: str, entry: dict[str, str]) -> list:
    """Findings of an image as 0 and 1."""
    found = set(entry["Finding Labels"].split("|"))
    about = [
        entry.get(key, "")
        for key in ("Patient ID", "Patient Age", "Patient Gender", "View Position")
    ]
    return [name[:-4], *about, *(int(finding in found) for finding in FINDINGS)]
