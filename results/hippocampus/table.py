"""Joins the three comparisons into table.csv, and takes the figure out of the first.

python results/hippocampus/table.py
"""

import csv
import shutil
from pathlib import Path

HERE = Path(__file__).parent
COMPARISONS = ("few_labels", "arms", "longer")
FIGURE = "dice_over_labels.png"


def main() -> None:
    """Reads comparison.csv of the folders that nnUNetv2_pcrl_compare has written."""
    rows = []
    for name in COMPARISONS:
        with open(HERE / name / "comparison.csv", newline="", encoding="utf-8") as file:
            rows += [{"comparison": name, **row} for row in csv.DictReader(file)]
    with open(HERE / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    shutil.copyfile(HERE / COMPARISONS[0] / FIGURE, HERE / FIGURE)


if __name__ == "__main__":
    main()
