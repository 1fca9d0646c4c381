"""CheXpert: train and valid folders with JPEG images, train.csv and valid.csv."""

from pathlib import Path

from nnunetv2_pcrl.datasets.conversion import Benchmark, SourceCase
from nnunetv2_pcrl.datasets.raw import NATURAL_READER, UNLABELLED, read_table

CLASSES = "classes.csv"
_TABLES = {"train.csv": False, "valid.csv": True}


def find_chexpert(source: Path) -> Benchmark:
    """Finds the images that the tables name; the tables are kept as classes.csv.

    Paths in the tables begin with the name of the published folder (CheXpert-v1.0,
    CheXpert-v1.0-small), which may have been renamed.

    Raises:
        ValueError: if a table is missing or empty.
    """
    cases, odd, rows = [], {}, []
    for table, is_test in _TABLES.items():
        paths = sorted(source.rglob(table))
        if not paths:
            raise ValueError(f"There is no {table} in {source}.")
        entries = read_table(paths[0], "Path")
        for entry in entries:
            relative = Path(*Path(entry["Path"]).parts[1:])
            image = paths[0].parent / relative
            if not image.is_file():
                odd[entry["Path"]] = "there is no such file"
                continue
            identifier = "_".join(relative.with_suffix("").parts[1:])
            cases.append(SourceCase(identifier, (image,), is_test=is_test))
            classes = [value for key, value in entry.items() if key != "Path"]
            rows.append((identifier, *classes))
        header = ("identifier", *(key for key in entries[0] if key != "Path"))
        named = {case.images[0] for case in cases}
        for image in sorted((paths[0].parent / table[:-4]).rglob("*.jpg")):
            if image not in named and not image.name.startswith("."):
                odd[str(image)] = f"it is not in {table}"
    return Benchmark(
        "CheXpert",
        ("X-ray",),
        UNLABELLED,
        cases,
        223414,
        234,
        odd=odd,
        reader=NATURAL_READER,
        tables={CLASSES: [header, *rows]},
    )
