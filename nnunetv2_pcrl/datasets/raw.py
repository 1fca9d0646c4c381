"""Writes raw data sets in nnU-Net's format, with a manifest of where the images come from."""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.weights.atomic import replaced_atomically

# A set without labels has the background only.
UNLABELLED = {"background": 0}
MANIFEST = "manifest.csv"
DATASET_JSON = "dataset.json"
# Key of dataset.json, which nnU-Net does not ask for.
MADE_BY = "made_by"
# With what nnU-Net and trainers add, names of folders stay far below what file systems take.
_LONGEST_NAME = 60
# nnU-Net's readers by the kind of file.
ITK_READER, NATURAL_READER = "SimpleITKIO", "NaturalImage2DIO"
# Brings images of any orientation to one, and predictions back.
REORIENTING_READER = "SimpleITKIOWithReorient"


@dataclass(frozen=True)
class ManifestRow:
    """A line of the manifest.

    Attributes:
        identifier: of the case; empty if the file is left out.
        source: file or folder that it comes from.
        note: why it is left out, or what was done to it; empty if nothing.
    """

    identifier: str
    source: str
    note: str = ""


def raw_folder(root: Path, number: int, name: str) -> Path:
    """Folder of a data set, which may not be there yet.

    Args:
        root: nnUNet_raw.
        number: 1 to 999.
        name: without the prefix DatasetNNN_.

    Raises:
        ValueError: if the number is taken by a data set of another name.
    """
    is_named = 0 < len(name) <= _LONGEST_NAME and name.replace("_", "").isalnum()
    if not 1 <= number <= 999 or not is_named:
        raise ValueError(
            f"A data set has a number from 1 to 999 and a name of at most {_LONGEST_NAME} letters, "
            f"digits and _, got {number} and {name!r}."
        )
    folder = root / f"Dataset{number:03d}_{name}"
    others = [p.name for p in root.glob(f"Dataset{number:03d}_*") if p != folder]
    if others:
        raise ValueError(f"The number {number} is taken by {others[0]}; choose another.")
    return folder


def environment_folder(variable: str) -> Path:
    """A folder that nnU-Net takes from the environment.

    Raises:
        ValueError: if the variable is not set.
    """
    value = os.environ.get(variable)
    if not value:
        raise ValueError(
            f"The environment variable {variable} is not set: export {variable}=FOLDER, as for "
            f"every command of nnU-Net."
        )
    return Path(value)


def find_beside(preprocessed: Path, name: str) -> Path:
    """A table beside dataset.json: that of the preprocessed data comes before that of the raw.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        name: of the file.

    Raises:
        ValueError: naming the places, if there is none.
    """
    places = [preprocessed / name]
    if "nnUNet_raw" in os.environ:
        places.append(environment_folder("nnUNet_raw") / preprocessed.name / name)
    for place in places:
        if place.is_file():
            return place
    raise ValueError(f"There is no {' and no '.join(map(str, places))}.")


def check_may_write(folder: Path, maker: str, labels: Mapping[str, Any] = UNLABELLED) -> None:
    """Lets a maker of data sets write into new folders and into those that it made itself.

    Args:
        folder: of a raw data set.
        maker: what `MADE_BY` of its dataset.json says, if it is our own.
        labels: that its dataset.json names, if no person has changed them since.

    Raises:
        ValueError: if the data set is somebody else's, or its labels were changed.
    """
    path = folder / DATASET_JSON
    if not path.is_file():
        return
    content = read_json(path)
    found = content.get(MADE_BY)
    if found != maker:
        raise ValueError(
            f"{folder} is a data set already, {f'made by {found}' if found else 'not ours'}; it "
            f"stays as it is. Choose another number or name, or remove it."
        )
    if content.get("labels") != labels:
        raise ValueError(
            f"The labels in {path} were changed to {content.get('labels')}, and would be lost. "
            f"Choose another number or name, or remove the file."
        )


def unlabelled_json(
    channels: Sequence[str],
    file_ending: str,
    reader: str,
    cases: Mapping[str, Sequence[str]],
    maker: str,
) -> dict[str, Any]:
    """dataset.json of images without labels that lie anywhere, in the form of the `dataset` key.

    nnU-Net wants a label path per case: it is where a label would lie.
    """
    return {
        MADE_BY: maker,
        "channel_names": {str(i): channel for i, channel in enumerate(channels)},
        "labels": UNLABELLED,
        "numTraining": len(cases),
        "file_ending": file_ending,
        "overwrite_image_reader_writer": reader,
        "dataset": {
            identifier: {"images": list(images), "label": f"labelsTr/{identifier}{file_ending}"}
            for identifier, images in cases.items()
        },
    }


def is_beside(preprocessed: Path, name: str) -> bool:
    """Whether `find_beside` finds the table."""
    try:
        find_beside(preprocessed, name)
    except ValueError:
        return False
    return True


def read_any_json(path: Path) -> Any:
    """Content of a JSON file that a person may have written.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no valid JSON file: {error}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """Names and values of a JSON file that a person may have written.

    Raises:
        ValueError: if the file is damaged, or holds something else.
    """
    content = read_any_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__} in the place of {{...}}.")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file, never half."""
    with replaced_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=4))


def read_manifest(folder: Path) -> list[ManifestRow]:
    """Rows of an earlier manifest; none if there is none.

    Raises:
        ValueError: if the file is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [
                ManifestRow(row["identifier"], row["source"], row["note"])
                for row in csv.DictReader(file)
            ]
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} is no manifest any more ({error}); remove it and run the command again."
        ) from error


def read_notes(folder: Path) -> dict[str, str]:
    """Notes of an earlier manifest per case; empty if there is none."""
    return {row.identifier: row.note for row in read_manifest(folder)}


def write_manifest(folder: Path, rows: Iterable[ManifestRow]) -> None:
    """Writes the manifest of a data set."""
    header = ("identifier", "source", "note")
    write_table(folder / MANIFEST, [header, *((r.identifier, r.source, r.note) for r in rows)])


def read_table(path: Path, column: str) -> list[dict[str, str]]:
    """Rows of a published CSV file, which has the column.

    Raises:
        ValueError: if it has no rows or no such column.
    """
    # Tables saved by spreadsheets begin with a mark of their encoding.
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or column not in rows[0]:
        raise ValueError(f'{path} has {len(rows)} rows, or no column "{column}": download it anew.')
    return rows


def write_table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file, never half."""
    with (
        replaced_atomically(path) as temporary,
        # Names of files need not be text in any encoding.
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        csv.writer(file).writerows(rows)
