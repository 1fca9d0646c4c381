"""Makes raw data sets with classes.csv of the two public sets that are measured, as links.

python results/classification/prepare.py FOLDER_OF_THE_SETS      (nnUNet_raw is set)
"""

import csv
import json
import sys
from pathlib import Path

from nnunetv2_pcrl.datasets.raw import environment_folder

SETS = {
    "Dataset107_NIHPneumonia": ("nih_chest_xray_1000", "X-ray", "Pneumonia"),
    "Dataset108_LUNAPatches": ("luna_candidate_patches", "CT", "nodule"),
}


def write_set(source: Path, target: Path, channel: str, column: str) -> None:
    """One data set; films keep their patients and official lists.

    Args:
        source: folder with imagesTr and labels.csv.
        target: of the raw data set.
        channel: name of the only channel, which decides the normalisation.
        column: of labels.csv that is learned.
    """
    with open(source / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (target / "imagesTr").mkdir(parents=True, exist_ok=True)
    for row in rows:
        name = f"{row['case']}_0000.png"
        link = target / "imagesTr" / name
        if not link.is_symlink():
            link.symlink_to((source / "imagesTr" / name).resolve())
    content = {
        "channel_names": {"0": channel},
        "labels": {"background": 0},
        "numTraining": len(rows),
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    (target / "dataset.json").write_text(json.dumps(content, indent=2))
    known = {"patient": "patient", "list": "official_list"}
    more = {name: old for name, old in known.items() if old in rows[0]}
    with open(target / "classes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("identifier", *more, column))
        writer.writerows(
            (row["case"], *(row[old] for old in more.values()), row[column]) for row in rows
        )


def main() -> None:
    """Command line."""
    for name, (folder, channel, column) in SETS.items():
        target = environment_folder("nnUNet_raw") / name
        write_set(Path(sys.argv[1]) / folder, target, channel, column)


if __name__ == "__main__":
    main()
