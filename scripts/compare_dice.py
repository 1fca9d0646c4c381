"""Prints the mean Dice of several evaluations side by side, label by label.

python scripts/compare_dice.py NAME=SUMMARY.json [NAME=SUMMARY.json ...]
"""

import argparse
import json
from pathlib import Path


def dice_table(summaries: dict[str, dict]) -> str:
    """A table with a row per label or region and a column per evaluation.

    Args:
        summaries: name to nnU-Net's summary.json.
    """
    labels = list(next(iter(summaries.values()))["mean"])
    rows = [["label", *summaries]]
    for label in labels:
        rows.append([label, *(f"{s['mean'][label]['Dice']:.3f}" for s in summaries.values())])
    rows.append(["mean", *(f"{s['foreground_mean']['Dice']:.3f}" for s in summaries.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluations", nargs="+", help="NAME=SUMMARY.json")
    pairs = (e.split("=", 1) for e in parser.parse_args().evaluations)
    print(dice_table({name: json.loads(Path(path).read_text()) for name, path in pairs}))


if __name__ == "__main__":
    main()
