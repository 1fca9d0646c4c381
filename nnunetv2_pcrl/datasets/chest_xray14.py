"""NIH ChestX-ray14: PNG images in any folders, Data_Entry_2017.csv and the official lists."""

from collections.abc import Collection, Mapping
from pathlib import Path

from nnunetv2_pcrl.datasets.chest_xray14_tables import (
    FINDINGS,
    METADATA_COLUMNS,
    Entry,
    read_boxes,
    read_entries,
    read_list,
)
from nnunetv2_pcrl.datasets.conversion import Benchmark, SourceCase
from nnunetv2_pcrl.datasets.folds import patient_folds
from nnunetv2_pcrl.datasets.layouts import files_below
from nnunetv2_pcrl.datasets.raw import NATURAL_READER, UNLABELLED
from nnunetv2_pcrl.datasets.xray_tables import (
    BOXES,
    CLASSES,
    METADATA,
    header_of_classes,
    header_of_metadata,
    rarest_findings,
    some_of,
)

TRAIN_VAL, TEST = "train_val", "test"


def find_chest_xray14(source: Path) -> Benchmark:
    """Finds the images and their tables.

    The images lie in images_001/images to images_012/images as unpacked, or in any other folders.
    Those of test_list.txt are test images; the others are split into folds with patients apart.
    Some images are stored as RGBA: the conversion makes them grey.

    Raises:
        ValueError: if the table is missing or cannot be read, or if it names no image that is
            there.
    """
    tables = _files(source, "Data_Entry_2017", ".csv")
    if not tables:
        raise ValueError(
            f"There is no Data_Entry_2017.csv in {source}. Download it beside the images from "
            f"https://nihcc.app.box.com/v/ChestXray-NIHCC."
        )
    # The newer table (v2020) corrects the older one.
    table = max(tables, key=lambda path: path.name)
    entries, odd = read_entries(table)
    lists = {part: _files(source, f"{part}_list", ".txt") for part in (TRAIN_VAL, TEST)}
    names = {part: read_list(paths[0]) if paths else set() for part, paths in lists.items()}
    images, odd_files = _images(source, entries, odd)
    # A row and its file are one thing.
    files = {Path(file).name for file in odd_files}
    odd = {name: reason for name, reason in odd.items() if name not in files} | odd_files
    if not images:
        raise ValueError(
            f"None of the {len(entries)} images of {table.name} is below {source}. Unpack "
            f"images_001.tar.gz to images_012.tar.gz there; PNG files are found in any folders."
        )
    part_of = {name: _part(name, names) for name in images}
    known = [name for name in sorted(images) if part_of[name] is not None]
    odd |= {
        str(images[n]): "it is in neither official list" for n in sorted(set(images) - set(known))
    }
    boxes = _files(source, "BBox_List_2017", ".csv")
    box_rows, odd_boxes = read_boxes(boxes[0], set(known)) if boxes else ([], {})
    has_lists = any(names.values())
    training = {name[:-4]: entries[name] for name in known if part_of[name] != TEST}
    official = {name: part_of[name] if has_lists else "" for name in known}
    return Benchmark(
        "ChestX-ray14",
        ("X-ray",),
        UNLABELLED,
        [SourceCase(n[:-4], (images[n],), is_test=part_of[n] == TEST) for n in known],
        86524 if has_lists else 112120,
        25596 if has_lists else 0,
        odd=odd | odd_boxes,
        size=(1024, 1024),
        reader=NATURAL_READER,
        tables={
            CLASSES: [
                header_of_classes(FINDINGS),
                *((n[:-4], entries[n].patient, *entries[n].findings) for n in known),
            ],
            METADATA: [
                header_of_metadata((*METADATA_COLUMNS, "list")),
                *((n[:-4], entries[n].patient, *entries[n].metadata, official[n]) for n in known),
            ],
            **({BOXES: box_rows} if box_rows else {}),
        },
        missing=_missing(table, entries, images, names),
        known=[*tables, *lists[TRAIN_VAL], *lists[TEST], *boxes],
        folds=patient_folds(
            {name: entry.patient for name, entry in training.items()},
            rarest_findings({name: entry.findings for name, entry in training.items()}),
        ),
    )


def _files(source: Path, beginning: str, ending: str) -> list[Path]:
    """Tables by the beginning of their names: copies carry versions in them."""
    return [path for path in files_below(source, (ending,)) if path.name.startswith(beginning)]


def _images(
    source: Path, entries: Collection[str], odd_entries: Mapping[str, str]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Files of the images that the table names, and what is odd about others."""
    images: dict[str, Path] = {}
    odd = {}
    for path in files_below(source, (".png",)):
        if path.name not in entries:
            odd[str(path)] = odd_entries.get(path.name, "it is not in the table")
            continue
        first = images.setdefault(path.name, path)
        if first != path:
            odd[str(path)] = f"the same image as {first}"
    return images, odd


def _part(name: str, names: Mapping[str, Collection[str]]) -> str | None:
    """The official list of an image; None if there are both lists and it is in neither.

    With one list only, the images that are not in it are those of the other.
    """
    if name in names[TEST]:
        return TEST
    if name in names[TRAIN_VAL]:
        return TRAIN_VAL
    if not names[TRAIN_VAL]:
        return TRAIN_VAL
    return None if names[TEST] else TEST


def _missing(
    table: Path,
    entries: Mapping[str, Entry],
    images: Collection[str],
    names: Mapping[str, Collection[str]],
) -> dict[str, str]:
    """Images without a file, and images of the lists without findings."""
    missing = {name: "there is no such file" for name in sorted(set(entries) - set(images))}
    for part, listed in names.items():
        unknown = sorted(set(listed) - set(entries))
        if unknown:
            missing[f"{part}_list"] = (
                f"{len(unknown)} of its {len(listed)} images are not in {table.name}: "
                f"{some_of(unknown)}"
            )
    if not any(names.values()):
        missing["train_val_list.txt and test_list.txt"] = (
            "the official lists are not there, so all images are training cases"
        )
    elif both := sorted(set(names[TRAIN_VAL]) & set(names[TEST])):
        missing["lists"] = f"{len(both)} images are in both, and are test images: {some_of(both)}"
    return missing
